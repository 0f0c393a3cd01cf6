//! Whether the broker and the store can be had, as metrics.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_broker::{Broker, ChannelName, GroupName, LagError};
use trunkline_store::Store;

use crate::metric;

/// How often they are asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Who does not answer for so long can't be had.
const ANSWER: Duration = Duration::from_secs(10);

/// What a process tells about the servers that it needs. Both can be had until something else is known.
#[derive(Clone)]
pub(super) struct Reach {
    broker: Gauge,
    store: Gauge,
}

impl Reach {
    /// Of a process that runs `service`.
    pub(super) fn of(service: &str) -> Self {
        let gauge = |name: &'static str| {
            let gauge = gauge!(name, "service" => service.to_owned());
            gauge.set(0.0);
            gauge
        };
        Self { broker: gauge(metric::BROKER_UNREACHABLE), store: gauge(metric::STORE_UNREACHABLE) }
    }

    pub(super) fn broker(&self, there: bool) {
        self.broker.set(f64::from(u8::from(!there)));
    }

    pub(super) fn store(&self, there: bool) {
        self.store.set(f64::from(u8::from(!there)));
    }
}

/// Asks the broker and the store of a process that runs `service` every few seconds whether they are there, until
/// `shutdown`.
pub async fn report_reach(service: &str, broker: Arc<dyn Broker>, store: Store, shutdown: CancellationToken) {
    let reach = Reach::of(service);
    let asking = async {
        tokio::join!(
            watch("the broker", || answers(&*broker), |there| reach.broker(there)),
            watch("the store", || async { store.ping().await.is_ok() }, |there| reach.store(there)),
        )
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        _never = asking => {}
    }
}

/// Any answer is one. The channel asked about is there in every configuration, and mostly empty.
async fn answers(broker: &dyn Broker) -> bool {
    let lag = broker.lag(&ChannelName::dead_gateway(), &GroupName::console()).await;
    !matches!(lag, Err(LagError::Unavailable(_)))
}

/// Never returns. One question is under way at a time, however long it takes.
async fn watch<A: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> A, tell: impl Fn(bool)) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_there = true;
    loop {
        ticks.tick().await;
        let asked = ask();
        tokio::pin!(asked);
        let there = match timeout(ANSWER, &mut asked).await {
            Ok(there) => there,
            Err(_elapsed) => {
                tell(false);
                asked.await
            }
        };
        tell(there);
        if there != was_there {
            if there {
                info!("{what} can be had again")
            } else {
                error!("{what} can't be had")
            }
            was_there = there;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What is told of a server that answers like this, one answer after the other, each after a time.
    async fn told(answers: Vec<(Duration, bool)>) -> Vec<(u64, bool)> {
        let (began, told) = (tokio::time::Instant::now(), Mutex::new(Vec::new()));
        let mut answers = answers.into_iter();
        let watching = watch(
            "a server",
            || {
                let next = answers.next();
                async move {
                    let Some((after, there)) = next else { return std::future::pending().await };
                    tokio::time::sleep(after).await;
                    there
                }
            },
            |there| told.lock().expect("no test panics with it").push((began.elapsed().as_secs(), there)),
        );
        drop(timeout(Duration::from_secs(60), watching).await);
        told.into_inner().expect("no test panics with it")
    }

    #[tokio::test(start_paused = true)]
    async fn who_refuses_or_does_not_answer_in_time_is_not_there_until_it_answers() {
        let (soon, late) = (Duration::ZERO, Duration::from_secs(22));
        let told = told(vec![(soon, true), (soon, false), (late, true), (soon, true)]).await;
        // The third question is asked at 10 s and answered at 32 s; the fifth, at 37 or 42 s, is never.
        assert_eq!(told[..4], [(0, true), (5, false), (20, false), (32, true)]);
        assert_eq!((told[4].1, told.last().map(|(_, there)| *there)), (true, Some(false)), "{told:?}");
    }
}
