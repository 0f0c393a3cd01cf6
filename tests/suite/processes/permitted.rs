//! Users of RabbitMQ who may do no more than docs/operations.md says, and `ensure: verify`.

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Fleet, Ground, Setup, eventually, fixture, workspace};
use xtask::brokers::{self, SharedRabbitMq};

use super::RECOVERED;

const CASE: &str = "a_user_who_may_create_nothing_runs_on_what_is_there";

/// Configure, write and read of the line that follows `# ensure: MODE`.
fn patterns(mode: &str, prefix: &str) -> [String; 3] {
    let text = workspace::read("docs/operations.md");
    let (_, rest) = text.split_once(&format!("# ensure: {mode}\n")).unwrap();
    let line = rest.lines().next().unwrap();
    assert!(line.starts_with("rabbitmqctl set_permissions -p VHOST USER "), "{line}");
    let mut quoted = line.split('\'').skip(1).step_by(2);
    let prefix = prefix.replace('.', "\\.");
    std::array::from_fn(|_| quoted.next().unwrap().replace("PREFIX", &prefix))
}

fn user(rabbit: &SharedRabbitMq, mode: &str, ground: &Ground) -> String {
    let (vhost, user) = (ground.prefix.trim_matches('.'), format!("{}{mode}", ground.prefix));
    let [configure, write, read] = patterns(mode, &ground.prefix);
    rabbit.ctl(&["add_user", &user, "s3cret"]).unwrap();
    rabbit.ctl(&["set_permissions", "-p", vhost, &user, &configure, &write, &read]).unwrap();
    let url = rabbit.url().replace("guest:guest@", &format!("{user}:s3cret@")).replace("%2f", vhost);
    format!("{{ url: \"{url}\", ensure: {mode} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_create_nothing_runs_on_what_is_there() {
    let Some(shared) = brokers::shared_or_skip(CASE).unwrap() else { return };
    let rabbit = shared.rabbitmq().unwrap();
    let Some(mut ground) = Ground::on(String::new(), CASE).await else { return };
    let vhost = ground.prefix.trim_matches('.').to_owned();
    if let Err(error) = rabbit.ctl(&["add_vhost", &vhost]) {
        println!("skipped: {CASE}: {error}");
        return;
    }
    let (create, verify) = (user(&rabbit, "create", &ground), user(&rabbit, "verify", &ground));
    ground.broker.clone_from(&create);

    let receiver = Receiver::start().await.unwrap();
    let destination =
        fixture::http("all", &receiver.url("/all"), "retry: { max_attempts: 5, first: 100ms, max: 600ms }");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    let mut fleet = Fleet::new(ground, setup).await;
    let configuration = fleet.folder().join("trunkline.yaml");
    let created = std::fs::read_to_string(&configuration).unwrap();
    let verified = created.replace(&create, &verify);
    assert_ne!(created, verified);
    std::fs::write(&configuration, &verified).unwrap();

    // Before anything is there, and when only a part of it is.
    let router = ["run", "router", "--admin", "127.0.0.1:0", "--wait", "1s"];
    refused(&fleet, "trunkline.yaml", &router, "`events`").await;
    std::fs::write(&configuration, &created).unwrap();
    fleet.launch("creator", "gateway", &[]);
    fleet.ready("creator").await;
    fleet.retire("creator").await;
    let more = verified.replace("destinations:\n", "destinations:\n  more: { external: true }\n");
    assert_ne!(more, verified);
    std::fs::write(fleet.folder().join("more.yaml"), more).unwrap();
    refused(&fleet, "more.yaml", &router, "`deliver.more`").await;

    std::fs::write(&configuration, &verified).unwrap();
    fleet.launch_all().await;
    receiver.answer_next([Answer::status(503), Answer::status(503)]);
    fleet.publish("gateway", &fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    receiver.wait_for(3, RECOVERED).await.expect("it was not delivered after two retries");
    eventually("the account to balance", RECOVERED, async || {
        (fleet.settled(RECOVERED).await["balanced"] == true).then_some(())
    })
    .await;
    for service in ["gateway", "router", "dispatcher", "console"] {
        let log = fleet.member(service).process.log();
        assert!(!log.contains("ACCESS_REFUSED") && !log.contains("s3cret"), "{log}");
    }
    drop(fleet);
    rabbit.ctl(&["delete_vhost", &vhost]).unwrap();
}

/// A start that is refused, with what is missing.
async fn refused(fleet: &Fleet, configuration: &str, arguments: &[&str], missing: &str) {
    let refused = fleet.run_with(configuration, arguments).await.expect(4);
    for part in ["error[TL-B002]: broker.ensure", missing, "does not exist"] {
        assert!(refused.err.contains(part), "{part} is not in {}", refused.err);
    }
}
