//! A platform that answers by script, behind the adapter `scripted`, which finds it by its name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use trunkline_sdk::schemars::JsonSchema;
use trunkline_sdk::serde::Deserialize;
use trunkline_sdk::{Context, Delivered, Delivery, DeliveryError, Destination, SetupError};

static PLATFORMS: LazyLock<Mutex<HashMap<String, Platform>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What it does with one attempt.
pub(crate) enum Reply {
    Take,
    TakeAfter(Duration),
    Fail(DeliveryError),
}

/// One attempt as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) taken: bool,
}

type Script = dyn Fn(&Delivery, usize) -> Reply + Send + Sync;

/// Its script is asked with the delivery and how many attempts of it came before.
#[derive(Clone)]
pub(crate) struct Platform(Arc<Inner>);

struct Inner {
    name: String,
    script: Mutex<Box<Script>>,
    seen: Mutex<Vec<Seen>>,
    before: Mutex<HashMap<String, usize>>,
}

impl Platform {
    pub(crate) fn new(script: impl Fn(&Delivery, usize) -> Reply + Send + Sync + 'static) -> Self {
        let name = format!("platform-{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
        let platform = Self(Arc::new(Inner {
            name: name.clone(),
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            before: Mutex::default(),
        }));
        PLATFORMS.lock().unwrap().insert(name, platform.clone());
        platform
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Does something else from now on.
    pub(crate) fn turn(&self, script: impl Fn(&Delivery, usize) -> Reply + Send + Sync + 'static) {
        *self.0.script.lock().unwrap() = Box::new(script);
    }

    /// All attempts, in the order they arrived.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().clone()
    }

    /// Ids that it took.
    pub(crate) fn took(&self) -> Vec<String> {
        self.seen().into_iter().filter(|seen| seen.taken).map(|seen| seen.id).collect()
    }
}

/// The adapter.
pub(crate) struct Scripted(Platform);

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "trunkline_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "trunkline_sdk::schemars")]
pub(crate) struct ScriptedSettings {
    platform: String,
}

impl Destination for Scripted {
    const NAME: &'static str = "scripted";
    type Settings = ScriptedSettings;

    async fn connect(settings: ScriptedSettings, _context: &Context) -> Result<Self, SetupError> {
        let platform = PLATFORMS.lock().unwrap().get(&settings.platform).cloned();
        platform.map(Self).ok_or_else(|| SetupError::new("platform", "there is none of that name"))
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        let inner = &self.0.0;
        let id = delivery.event.id().to_owned();
        let before = {
            let mut before = inner.before.lock().unwrap();
            let before = before.entry(id.clone()).or_default();
            *before += 1;
            *before - 1
        };
        let key = String::from_utf8(delivery.event.key().to_vec()).unwrap();
        let place = {
            let mut seen = inner.seen.lock().unwrap();
            seen.push(Seen { at: Instant::now(), id, key, taken: false });
            seen.len() - 1
        };
        let reply = (inner.script.lock().unwrap())(delivery, before);
        match reply {
            Reply::Take => {}
            Reply::TakeAfter(time) => tokio::time::sleep(time).await,
            Reply::Fail(error) => return Err(error),
        }
        inner.seen.lock().unwrap()[place].taken = true;
        Ok(Delivered { status: Some(200), ..Delivered::default() })
    }
}
