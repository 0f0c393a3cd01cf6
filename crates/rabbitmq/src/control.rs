//! Asking and telling the broker what exists: one question at a time, over an AMQP channel that is replaced when a question
//! breaks it (the broker closes it to say that something is not there).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use lapin::options::{
    BasicQosOptions, ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel as Amqp, ErrorKind, ExchangeKind};
use tokio::sync::Mutex;

use crate::codec::{short, text};
use crate::error::RabbitFailure;
use crate::link::Link;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many declarations may be under way at once.
const AT_ONCE: usize = 100;

const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// Something to declare. Declaring what is there as asked does nothing.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Exchange(ShortString, ExchangeKind),
    Queue(ShortString, FieldTable),
    /// Queue, exchange, routing key.
    Bind(ShortString, ShortString, ShortString),
    /// Destination, source, routing key.
    BindExchange(ShortString, ShortString, ShortString),
}

/// Why something could not be declared or asked about.
#[derive(Debug)]
pub(crate) enum Refusal {
    NotFound,
    /// It exists with other arguments; the broker's own words.
    Differs(String),
    Failed(RabbitFailure),
}

/// What a queue holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Records that nobody has in hand.
    pub(crate) ready: u64,
    /// Consumers that the broker gives records to.
    pub(crate) consumers: u32,
}

/// The way to the broker for everything but records.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) link: Arc<Link>,
    cached: Mutex<Option<Amqp>>,
}

impl Control {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, cached: Mutex::default() }
    }

    /// A fresh AMQP channel, for whoever needs one of their own.
    pub(crate) async fn fresh(&self) -> Result<Amqp, RabbitFailure> {
        self.link.channel(Instant::now() + PATIENCE).await
    }

    /// What a queue holds; `None` when there is no such queue.
    pub(crate) async fn depth(&self, queue: &ShortString) -> Result<Option<Depth>, RabbitFailure> {
        match self.depths(vec![queue.clone()]).await {
            Ok(depths) => Ok(depths.first().copied()),
            Err(Refusal::NotFound) => Ok(None),
            Err(Refusal::Failed(error)) => Err(error),
            Err(Refusal::Differs(_)) => Ok(None),
        }
    }

    /// What queues hold, all of which must exist.
    pub(crate) async fn depths(&self, queues: Vec<ShortString>) -> Result<Vec<Depth>, Refusal> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let amqp = &mut *self.cached.lock().await;
        let mut depths = Vec::with_capacity(queues.len());
        for some in queues.chunks(AT_ONCE) {
            let channel = self.open(amqp).await.map_err(Refusal::Failed)?;
            let asked =
                some.iter().map(|queue| channel.queue_declare(queue.clone(), options, FieldTable::default()));
            let answered = within(try_join_all(asked)).await;
            depths.extend(self.settle(amqp, answered)?.into_iter().map(|queue| Depth {
                ready: u64::from(queue.message_count()),
                consumers: queue.consumer_count(),
            }));
        }
        Ok(depths)
    }

    /// Whether an exchange exists.
    pub(crate) async fn has_exchange(&self, exchange: &ShortString) -> Result<bool, RabbitFailure> {
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let amqp = &mut *self.cached.lock().await;
        let channel = self.open(amqp).await?;
        let asked =
            channel.exchange_declare(exchange.clone(), ExchangeKind::Fanout, options, FieldTable::default());
        let answered = within(asked).await;
        match self.settle(amqp, answered) {
            Ok(()) => Ok(true),
            Err(Refusal::NotFound) => Ok(false),
            Err(Refusal::Failed(error)) => Err(error),
            // It is there, whatever it is.
            Err(Refusal::Differs(_)) => Ok(true),
        }
    }

    /// Declares everything, in this order.
    pub(crate) async fn declare(&self, items: &[Item]) -> Result<(), Refusal> {
        let amqp = &mut *self.cached.lock().await;
        for some in items.chunks(AT_ONCE) {
            let channel = self.open(amqp).await.map_err(Refusal::Failed)?;
            let answered = within(try_join_all(some.iter().map(|item| declare(channel, item)))).await;
            self.settle(amqp, answered)?;
        }
        Ok(())
    }

    /// Deletes queues and exchanges with all they hold; what is not there is passed over.
    pub(crate) async fn delete(
        &self,
        queues: Vec<ShortString>,
        exchanges: Vec<ShortString>,
    ) -> Result<(), RabbitFailure> {
        let amqp = &mut *self.cached.lock().await;
        let channel = self.open(amqp).await?;
        let deleted = within(async {
            try_join_all(
                queues.into_iter().map(|queue| channel.queue_delete(queue, QueueDeleteOptions::default())),
            )
            .await?;
            let options = ExchangeDeleteOptions::default();
            try_join_all(exchanges.into_iter().map(|exchange| channel.exchange_delete(exchange, options)))
                .await
        })
        .await;
        self.settle(amqp, deleted).map(drop).map_err(|refusal| match refusal {
            Refusal::Failed(error) => error,
            Refusal::NotFound | Refusal::Differs(_) => RabbitFailure::Disconnected,
        })
    }

    async fn open<'a>(&self, cached: &'a mut Option<Amqp>) -> Result<&'a Amqp, RabbitFailure> {
        let channel = match cached.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => {
                let channel = self.fresh().await?;
                channel.basic_qos(1, BasicQosOptions::default()).await?;
                channel
            }
        };
        Ok(cached.insert(channel))
    }

    /// Throws the AMQP channel away when the answer was no.
    fn settle<T>(&self, cached: &mut Option<Amqp>, answer: Result<T, RabbitFailure>) -> Result<T, Refusal> {
        answer.map_err(|error| {
            *cached = None;
            refusal(error)
        })
    }
}

async fn declare(channel: &Amqp, item: &Item) -> Result<(), lapin::Error> {
    let none = FieldTable::default;
    match item.clone() {
        Item::Exchange(name, kind) => {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name, kind, options, none()).await
        }
        Item::Queue(name, arguments) => {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(name, options, arguments).await.map(drop)
        }
        Item::Bind(queue, exchange, key) => {
            channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), none()).await
        }
        Item::BindExchange(destination, source, key) => {
            channel.exchange_bind(destination, source, key, ExchangeBindOptions::default(), none()).await
        }
    }
}

async fn within<T>(asked: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, RabbitFailure> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RabbitFailure::Timeout(PATIENCE)),
    }
}

/// What a failed question means.
pub(crate) fn refusal(error: RabbitFailure) -> Refusal {
    let RabbitFailure::Amqp(amqp) = &error else { return Refusal::Failed(error) };
    let ErrorKind::ProtocolError(said) = amqp.kind() else { return Refusal::Failed(error) };
    match said.get_id() {
        NOT_FOUND => Refusal::NotFound,
        PRECONDITION_FAILED => Refusal::Differs(said.get_message().to_string()),
        _ => Refusal::Failed(error),
    }
}

/// Arguments of a quorum queue that never drops what it took: what is full refuses, and a record that was given back however
/// often goes back to the head, in order (without a limit RabbitMQ 3.x puts it at the end; its own count would
/// drop it).
pub(crate) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(short("x-queue-type"), text("quorum"));
    arguments.insert(short("x-overflow"), text("reject-publish"));
    arguments.insert(short("x-delivery-limit"), AMQPValue::LongLongInt(i64::from(i32::MAX)));
    arguments
}
