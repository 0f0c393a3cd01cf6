//! `rabbit-pass`: a task for each queue, which publishes what it takes, a window of unconfirmed records at a time, and
//! acknowledges many at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};

use super::Pass;

const PARTITIONS: u16 = 4;
/// Of all tasks together.
const WINDOW: usize = 1_000;
const PREFETCH: u16 = 1_000;
const LOOK: Duration = Duration::from_millis(50);
/// Records that one acknowledgement settles, about.
const ACKNOWLEDGED: u64 = 100;

type Confirming = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

/// Copies until `ended`.
///
/// # Errors
/// RabbitMQ's.
pub async fn run(pass: &Pass, ended: &AtomicBool) -> anyhow::Result<()> {
    let consuming = Connection::connect(&pass.address, ConnectionProperties::default()).await?;
    let publishing = Connection::connect(&pass.address, ConnectionProperties::default()).await?;
    let mut tasks = Vec::new();
    for partition in 0..PARTITIONS {
        let (input, output) = (consuming.create_channel().await?, publishing.create_channel().await?);
        tasks.push(tokio::spawn(copy(input, output, pass.prefix.clone(), partition)));
    }
    while !ended.load(Ordering::Acquire) {
        tokio::time::sleep(LOOK).await;
        for task in tasks.extract_if(.., |task| task.is_finished()) {
            task.await??;
        }
    }
    Ok(())
}

async fn copy(input: Channel, output: Channel, prefix: String, partition: u16) -> anyhow::Result<()> {
    let name = |text: String| ShortString::try_new(text).context("a name that is too long");
    let queue = name(format!("{prefix}events:router:{partition}"))?;
    let (exchange, key) = (name(format!("{prefix}deliver.crm:dispatcher"))?, name(partition.to_string())?);
    input.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    output.confirm_select(ConfirmSelectOptions::default()).await?;
    let consuming = input.basic_consume(
        queue,
        ShortString::default(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut deliveries = consuming.await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut flight: VecDeque<(u64, Confirming)> = VecDeque::new();
    let (mut confirmed, mut acknowledged) = (0, 0);
    loop {
        let full = flight.len() >= WINDOW / usize::from(PARTITIONS);
        tokio::select! {
            delivery = deliveries.next(), if !full => {
                let Delivery { delivery_tag, properties, data, .. } = delivery.context("the consumer ended")??;
                let published = output.basic_publish(exchange.clone(), key.clone(), options, &data, properties);
                flight.push_back((delivery_tag, Box::pin(published.await?)));
            }
            tag = first(&mut flight) => confirmed = tag?,
        }
        let idle = flight.is_empty() && confirmed > acknowledged;
        if confirmed >= acknowledged + ACKNOWLEDGED || idle {
            input.basic_ack(confirmed, BasicAckOptions { multiple: true }).await?;
            acknowledged = confirmed;
        }
    }
}

/// The tag of the first record under way, once it is confirmed.
async fn first(flight: &mut VecDeque<(u64, Confirming)>) -> anyhow::Result<u64> {
    let came = poll_fn(|context| match flight.front_mut() {
        Some((_, confirming)) => confirming.as_mut().poll(context),
        None => Poll::Pending,
    });
    let confirmation = came.await?;
    ensure!(matches!(confirmation, Confirmation::Ack(None)), "a record was returned or refused");
    let (tag, _) = flight.pop_front().context("what was confirmed was under way")?;
    Ok(tag)
}
