//! R1 to R11 and a rebalance storm: faults of a RabbitMQ, and of the services on it. What concerns the engine alone is tried
//! by its own tests.

mod blocked;
mod crash_loop;
mod cycles;
mod deleted;
mod differing;
mod full;
mod graves;
mod router_killed;
mod server_killed;
mod storm;

use trunkline_tests::{Fleet, Ground};
use xtask::brokers;
use xtask::brokers::rabbitmq::{RabbitMq, Settings};

/// A RabbitMQ that cases kill, fill and block. One serves them all: a fleet has the machine to itself as long as it lives.
struct Rabbit(&'static RabbitMq);

impl Rabbit {
    /// None where the run is without brokers.
    async fn for_case(case: &str) -> Option<Self> {
        static SERVER: tokio::sync::OnceCell<RabbitMq> = tokio::sync::OnceCell::const_new();
        if brokers::skipped(case) {
            return None;
        }
        let launch = async || blocking(|| RabbitMq::launch(&Settings::default()).unwrap()).await;
        Some(Self(SERVER.get_or_init(launch).await))
    }

    async fn ground(&self, case: &str) -> Ground {
        Ground::on(format!("\"{}\"", self.0.url()), case).await.expect("the run is with brokers")
    }

    /// Runs `rabbitmqctl`.
    async fn ctl(&self, arguments: &[&str]) -> String {
        let (server, arguments) = (self.0, arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        let run = move || server.ctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        blocking(run).await
    }

    /// Runs Erlang in the server.
    async fn eval(&self, expressions: &[String]) {
        self.ctl(&["eval", &format!("{}.", expressions.join(", "))]).await;
    }

    /// Deletes queues with all they hold.
    async fn delete(&self, queues: &[String]) {
        let delete = |queue: &String| {
            let queue = format!("rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)");
            format!(
                "rabbit_amqqueue:with({queue}, fun(Q) -> rabbit_amqqueue:delete(Q, false, false, <<\"guest\">>) end)"
            )
        };
        self.eval(&queues.iter().map(delete).collect::<Vec<_>>()).await;
    }

    /// Lets queues whose name begins so take only so many records.
    async fn limit(&self, policy: &str, queues: &str, length: u32) {
        let pattern = format!("^{}", queues.replace('.', "\\."));
        let definition = format!("{{\"max-length\":{length}}}");
        self.ctl(&["set_policy", "--apply-to", "queues", policy, &pattern, &definition]).await;
    }

    async fn unlimit(&self, policy: &str) {
        self.ctl(&["clear_policy", policy]).await;
    }
}

/// The queues of a channel's four partitions for a group.
fn queues(fleet: &Fleet, channel: &str, group: &str) -> Vec<String> {
    (0..4).map(|partition| format!("{}{channel}:{group}:{partition}", fleet.prefix())).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
