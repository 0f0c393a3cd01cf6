//! A platform that answers by script and remembers what it saw.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use trunkline_core::Delivery;

use crate::destination::{Delivered, DeliveryError, Preview};
use crate::registry::AnyDestination;

/// What it does with one attempt.
pub(super) enum Reply {
    Take,
    TakeAfter(Duration),
    Fail(DeliveryError),
    FailAfter(Duration, DeliveryError),
    Hang,
    Panic,
}

/// One attempt as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) id: String,
    pub(super) key: String,
    pub(super) taken: bool,
}

type Script = dyn Fn(&Delivery, usize) -> Reply + Send + Sync;

/// Its script is asked with the delivery and how many attempts of it came before.
pub(super) struct Platform {
    script: Mutex<Box<Script>>,
    seen: Mutex<Vec<Seen>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Platform {
    pub(super) fn new(script: impl Fn(&Delivery, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Takes everything.
    pub(super) fn healthy() -> Self {
        Self::new(|_, _| Reply::Take)
    }

    /// Does something else from now on.
    pub(super) fn turn(&self, script: impl Fn(&Delivery, usize) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// All attempts, in the order they arrived.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Ids that it took, in the order it took them.
    pub(super) fn took(&self) -> Vec<String> {
        self.seen().into_iter().filter(|seen| seen.taken).map(|seen| seen.id).collect()
    }

    /// Most attempts at once.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(super) fn under_way(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }
}

struct Under<'a>(&'a Platform);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AnyDestination for Platform {
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let _under = Under(self);
        let id = delivery.event.id().to_owned();
        let before = self.seen().iter().filter(|seen| seen.id == id).count();
        let key = String::from_utf8(delivery.event.key().to_vec()).unwrap();
        let place = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen { at: Instant::now(), id, key, taken: false });
            seen.len() - 1
        };
        let reply = (self.script.lock().unwrap())(delivery, before);
        match reply {
            Reply::Take => {}
            Reply::TakeAfter(time) => sleep(time).await,
            Reply::Fail(error) => return Err(error),
            Reply::FailAfter(time, error) => {
                sleep(time).await;
                return Err(error);
            }
            Reply::Hang => std::future::pending().await,
            Reply::Panic => panic!("a bug in an adapter, on purpose"),
        }
        self.seen.lock().unwrap()[place].taken = true;
        Ok(Delivered { status: Some(200), ..Delivered::default() })
    }

    fn preview(&self, _delivery: &Delivery) -> Result<Preview, DeliveryError> {
        Err(DeliveryError::rejected("no preview here"))
    }
}
