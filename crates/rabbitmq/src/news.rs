//! The task that tells other processes what this one consumes, hears what they do, and answers their questions.
//!
//! Everybody has a queue of their own on the members' fanout exchange, gone with its connection. Questions and answers go to
//! one queue, over the default exchange.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel as Amqp, Consumer, ExchangeKind};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use trunkline_broker::{ChannelName, GroupName};

use crate::announcement::{self, Announcement, InHand};
use crate::codec::short;
use crate::consume::take_leases;
use crate::control::Item;
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::topology;

const ANNOUNCE: &str = "announce";
/// An announcement by somebody who knows nobody yet: everybody announces in turn.
const HELLO: &str = "hello";
const BYE: &str = "bye";
/// Channels were declared or removed.
const CHANGED: &str = "changed";
const ASK: &str = "ask";
const ANSWER: &str = "answer";

/// News are gathered for so long before they are announced.
const GATHER: Duration = Duration::from_millis(10);
/// How long the others get to answer a hello.
const ACQUAINT: Duration = Duration::from_millis(250);
/// How long opening may take.
const OPENING: Duration = Duration::from_secs(10);
/// The pause before it is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// Silent for this many announcements, a process is taken for dead.
const SILENCES: u32 = 3;

type Answer = oneshot::Sender<BTreeMap<u16, InHand>>;

/// Questions to other processes.
#[derive(Debug)]
pub(crate) struct Asking {
    questions: mpsc::Sender<Question>,
    open: Mutex<(u64, HashMap<String, Answer>)>,
}

/// A question on its way to one process's queue.
#[derive(Debug)]
pub(crate) struct Question {
    queue: String,
    id: String,
    text: String,
}

impl Asking {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(64);
        (Self { questions, open: Mutex::default() }, asked)
    }

    /// Asks one process how much of a channel it has in hand. `None` when it does not answer in time.
    pub(crate) async fn in_hand(
        &self,
        queue: String,
        channel: &ChannelName,
        group: &GroupName,
        patience: Duration,
    ) -> Option<BTreeMap<u16, InHand>> {
        let (reply, answer) = oneshot::channel();
        let id = {
            let mut open = self.lock();
            open.0 += 1;
            let id = open.0.to_string();
            open.1.insert(id.clone(), reply);
            id
        };
        let asked = async {
            let question = Question { queue, id: id.clone(), text: announcement::question(channel, group) };
            self.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        let answered = timeout(patience, asked).await.ok().flatten();
        self.lock().1.remove(&id);
        answered
    }

    fn answered(&self, id: &str, text: &str) {
        if let Some(answer) = self.lock().1.remove(id)
            && answer.send(announcement::parse_answer(text)).is_err()
        {
            tracing::debug!("an answer came too late");
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<String, Answer>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells and hears until the engine closes.
pub(crate) async fn run(core: Arc<Core>, mut questions: mpsc::Receiver<Question>) {
    while !core.closing.is_cancelled() {
        let opened = tokio::select! {
            opened = timeout(OPENING, Session::open(&core)) => opened,
            () = core.closing.cancelled() => break,
        };
        match opened.unwrap_or(Err(RabbitFailure::Timeout(OPENING))) {
            Ok((mut session, mut consumer)) => {
                core.members.forgive();
                session.serve(&mut consumer, &mut questions).await;
            }
            Err(error) => tracing::debug!(%error, "can't announce what is consumed yet"),
        }
        tokio::select! {
            () = sleep(AGAIN) => {}
            () = core.closing.cancelled() => {}
        }
    }
}

/// One queue and the AMQP channel to publish on.
struct Session {
    core: Arc<Core>,
    queue: ShortString,
    out: Amqp,
}

impl Session {
    async fn open(core: &Arc<Core>) -> Result<(Self, Consumer), RabbitFailure> {
        let names = &core.names;
        // Only looked at where it is there, since declaring may be forbidden.
        if !core.control.has_exchange(&names.members()).await?
            && let Err(refusal) =
                core.control.declare(&[Item::Exchange(names.members(), ExchangeKind::Fanout)]).await
        {
            tracing::debug!(?refusal, "the members' exchange can't be declared");
        }
        let listen = core.control.fresh().await?;
        let none = FieldTable::default;
        let own =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = listen.queue_declare("".into(), own, none()).await?.name().clone();
        let bind = QueueBindOptions::default();
        listen.queue_bind(queue.clone(), names.members(), "".into(), bind, none()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = listen.basic_consume(queue.clone(), "".into(), options, none()).await?;
        // Publishing may be blocked, which must not keep anyone from listening: hence the other connection.
        let out = core.publisher.link.channel(Instant::now() + OPENING).await?;
        let session = Self { core: core.clone(), queue, out };
        session.announce(HELLO).await?;
        // Whatever was declared and removed meanwhile was not heard of.
        let refreshed = core.clone();
        core.runtime.spawn(async move { refresh(&refreshed).await });
        Ok((session, consumer))
    }

    /// Serves until the connection breaks or the engine closes.
    async fn serve(&mut self, consumer: &mut Consumer, questions: &mut mpsc::Receiver<Question>) {
        let core = self.core.clone();
        let mut ticks = interval(core.options.announce);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acquainted = std::pin::pin!(sleep(ACQUAINT));
        let mut listening = true;
        loop {
            let done = tokio::select! {
                heard = consumer.next() => match heard {
                    Some(Ok(delivery)) => self.hear(delivery).await,
                    _ => return,
                },
                () = core.members.dirty.notified() => {
                    sleep(GATHER).await;
                    self.announce(ANNOUNCE).await
                }
                () = core.members.changed.notified() => {
                    self.tell(core.names.members(), "".into(), CHANGED, "", "").await
                }
                _ = ticks.tick() => self.tick().await,
                () = &mut acquainted, if listening => {
                    listening = false;
                    core.members.acquaint();
                    Ok(())
                }
                Some(question) = questions.recv() => {
                    self.tell("".into(), short(question.queue), ASK, &question.id, &question.text).await
                }
                () = core.closing.cancelled() => {
                    self.bye().await;
                    return;
                }
            };
            if let Err(error) = done {
                tracing::debug!(%error, "announcing broke off");
                return;
            }
        }
    }

    async fn tick(&self) -> Result<(), RabbitFailure> {
        if self.core.publisher.link.blocked().is_some() {
            // Nobody can announce then; silence means nothing.
            self.core.members.forgive();
            return Ok(());
        }
        take_leases(&self.core, self.core.members.expire(self.core.options.announce * SILENCES));
        self.announce(ANNOUNCE).await
    }

    async fn hear(&self, delivery: Delivery) -> Result<(), RabbitFailure> {
        let properties = &delivery.properties;
        let word = |text: &Option<ShortString>| {
            text.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default()
        };
        let (process, id) = (word(properties.app_id()), word(properties.correlation_id()));
        let text = String::from_utf8_lossy(&delivery.data);
        let members = &self.core.members;
        match word(properties.kind()).as_str() {
            ANSWER => self.core.asking.answered(&id, &text),
            ASK => {
                let asked = announcement::parse_question(&text);
                let in_hand =
                    asked.map(|(channel, group)| members.in_hand(&channel, &group)).unwrap_or_default();
                let reply_to = short(word(properties.reply_to()));
                return self.tell("".into(), reply_to, ANSWER, &id, &announcement::answer(&in_hand)).await;
            }
            _ if process == members.process => {}
            BYE => take_leases(&self.core, members.gone(&process)),
            CHANGED => {
                let core = self.core.clone();
                self.core.runtime.spawn(async move { refresh(&core).await });
            }
            kind => {
                let (wanted, new) = members.heard(&process, Announcement::parse(&text));
                take_leases(&self.core, wanted);
                if new || kind == HELLO {
                    return self.announce(ANNOUNCE).await;
                }
            }
        }
        Ok(())
    }

    async fn announce(&self, kind: &str) -> Result<(), RabbitFailure> {
        let text = self.core.members.announcement(self.queue.as_str()).text();
        self.tell(self.core.names.members(), "".into(), kind, "", &text).await
    }

    async fn bye(&self) {
        let bye = self.tell(self.core.names.members(), "".into(), BYE, "", "");
        if !matches!(timeout(AGAIN, bye).await, Ok(Ok(()))) {
            tracing::debug!("the other processes were told no goodbye");
        }
    }

    async fn tell(
        &self,
        exchange: ShortString,
        key: ShortString,
        kind: &str,
        id: &str,
        text: &str,
    ) -> Result<(), RabbitFailure> {
        let properties = BasicProperties::default()
            .with_type(short(kind))
            .with_app_id(short(self.core.members.process.as_str()))
            .with_correlation_id(short(id))
            .with_reply_to(self.queue.clone());
        let options = BasicPublishOptions::default();
        let told = self.out.basic_publish(exchange, key, options, text.as_bytes(), properties);
        // A blocked connection takes nothing; listening goes on.
        match timeout(self.core.options.announce, told).await {
            Ok(told) => told.map(drop).map_err(RabbitFailure::from),
            Err(_) => Ok(()),
        }
    }
}

async fn refresh(core: &Core) {
    if let Err(error) = topology::refresh(core).await {
        tracing::debug!(%error, "can't look up what other processes declared");
    }
}
