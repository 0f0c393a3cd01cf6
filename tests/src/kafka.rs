//! A Kafka of the fault tests' own, and what they do on it with a client that is not the engine's: an engine can't be the
//! witness of its own guarantees.

mod follower;
mod operator;
mod stream;

use std::ops::Deref;
use std::sync::OnceLock;

use xtask::brokers;
use xtask::brokers::kafka::{Proxied, Settings};

pub use follower::{Follower, Stored};
pub use operator::Operator;
pub use stream::{Foreign, Rate, Stream};

use crate::ports;
use crate::proxy::Proxy;

/// A Kafka that one test at a time kills, halts, fills or cuts off. It serves whoever comes next, too.
pub struct Private {
    server: xtask::brokers::kafka::Kafka,
    /// Before its second listener.
    pub proxy: Proxy,
}

impl Private {
    /// Whether this run has one; without, the skipped case is named in its output. The first to ask starts it.
    pub fn get(case: &str) -> Option<&'static Self> {
        static PRIVATE: OnceLock<Private> = OnceLock::new();
        (!brokers::skipped(case)).then(|| PRIVATE.get_or_init(Self::launch))
    }

    fn launch() -> Self {
        let (behind, before) = (ports::free(), ports::free());
        let proxied = Proxied { port: behind, advertised: format!("127.0.0.1:{before}") };
        let settings = Settings { heap: 384, proxied: Some(proxied), ..Settings::default() }
            // Members that are killed are missed within seconds.
            .property("group.min.session.timeout.ms", "1000")
            .property("delete.topic.enable", "true");
        let server =
            xtask::brokers::kafka::Kafka::launch(&settings).unwrap_or_else(|error| panic!("{error}"));
        let proxy = Proxy::start(before, ([127, 0, 0, 1], behind).into());
        Self { server, proxy }
    }

    /// What stands behind `broker:`, for processes whose absence is missed after `session`, with further properties.
    pub fn broker(&self, session: std::time::Duration, properties: &[(&str, &str)]) -> String {
        broker(self.address(), session, properties)
    }

    /// As [`Private::broker`], through the proxy.
    pub fn broker_behind_proxy(&self, session: std::time::Duration, properties: &[(&str, &str)]) -> String {
        broker(&format!("127.0.0.1:{}", self.proxy.port()), session, properties)
    }
}

impl Deref for Private {
    type Target = xtask::brokers::kafka::Kafka;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

fn broker(address: &str, session: std::time::Duration, properties: &[(&str, &str)]) -> String {
    let mut all = format!("session.timeout.ms: {}", session.as_millis());
    for (name, value) in properties {
        all.push_str(&format!(", {name}: {value}"));
    }
    format!("{{ url: \"kafka://{address}\", properties: {{ {all} }} }}")
}
