//! K7: the network between all services and the broker is cut in four ways.

use std::time::{Duration, Instant};

use trunkline_tests::kafka::Private;
use trunkline_tests::proxy::Link;
use trunkline_tests::{Ground, UnderLoad, eventually};

use super::{RECOVERED, lasting, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k7_the_network_to_the_broker_is_cut_and_heals() {
    let case = "K7";
    let Some(kafka) = Private::get(case) else { return };
    let Some(ground) = Ground::on(kafka.broker_behind_proxy(session(), &[]), case).await else { return };
    let world = UnderLoad::on(ground, "confirm_timeout: 2s").await;
    let mut slowest = Duration::ZERO;
    for link in [Link::Silent, Link::Reset, Link::Deaf, Link::Mute] {
        world.flows(100).await;
        kafka.proxy.during(link, lasting(3, 30)).await;
        let (healed, delivered) = (Instant::now(), world.receiver.count());
        eventually("deliveries after the network healed", RECOVERED, async || {
            (world.receiver.count() > delivered).then_some(())
        })
        .await;
        println!("{case}: {link:?}: the first delivery came {:?} after the network healed", healed.elapsed());
        slowest = slowest.max(healed.elapsed());
    }
    world.flows(100).await;
    world.judge(case, usize::MAX).await;
    assert!(slowest <= Duration::from_secs(5), "{slowest:?} until the first delivery");
}
