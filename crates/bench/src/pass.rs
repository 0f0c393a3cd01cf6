//! The limits of routing over a broker: programs that only copy records, each a process of its own.
//!
//! They share nothing with the product: each takes records of the channel `events` and puts them, with the same key,
//! headers and value, where the router would put deliveries, as safely as the router does.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

pub mod kafka;
pub mod kafka_txn;
pub mod rabbit;

/// What `trunkline-bench pass` takes.
#[derive(Debug, Clone, Args)]
pub struct Pass {
    /// Which limit
    pub limit: Limit,
    /// Where the broker is: `host:port` for Kafka, a URL for RabbitMQ
    pub address: String,
    /// What the names of channels begin with
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Kafka's compression
    #[arg(long, default_value = "none")]
    pub compression: String,
    /// Transactional producers
    #[arg(long, default_value_t = 2)]
    pub lanes: i32,
}

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Limit {
    /// Consumer to producer
    Kafka,
    /// The same in transactions
    KafkaTxn,
    /// Consumers to a confirming publisher
    Rabbit,
}

impl Limit {
    /// As the command line says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::KafkaTxn => "kafka-txn",
            Self::Rabbit => "rabbit",
        }
    }
}

/// Copies until the input of this process ends, which it does also when the measuring process is killed.
///
/// # Errors
/// The broker's.
pub fn run(pass: &Pass) -> anyhow::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    std::thread::spawn(move || {
        // An error is an end as well.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        told.store(true, Ordering::Release);
    });
    match pass.limit {
        Limit::Kafka => kafka::run(pass, &ended),
        Limit::KafkaTxn => kafka_txn::run(pass, &ended),
        Limit::Rabbit => crate::process::runtime()?.block_on(rabbit::run(pass, &ended)),
    }
}
