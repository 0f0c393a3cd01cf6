//! What the engine's parts share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trunkline_broker::{ChannelName, ConsumeError, GroupName};

use crate::asker::{Asker, lock};
use crate::catalog::Channel;
use crate::context::Common;
use crate::error::KafkaFailure;
use crate::inbox::Inbox;
use crate::lease::{Load, Part, Slot};
use crate::mover::Mover;
use crate::narrowed::Narrowed;
use crate::options::Options;
use crate::publisher::Publisher;
use crate::register::Register;
use crate::transaction::Transactions;

/// One process's side of a cluster.
pub(crate) struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) common: Common,
    pub(crate) asker: Arc<Asker>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) register: Arc<Register>,
    pub(crate) narrowed: Narrowed,
    /// Numbers leases.
    pub(crate) epochs: Arc<AtomicU64>,
    members: Mutex<Vec<(GroupName, Weak<Inbox>)>>,
    pub(crate) mover: Mutex<Option<Arc<Mover>>>,
    pub(crate) transactions: Option<Transactions>,
    /// One creation of a delay topic at a time.
    pub(crate) delaying: tokio::sync::Mutex<()>,
    pub(crate) keeping: AtomicBool,
    pub(crate) closed: AtomicBool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        options: Arc<Options>,
        common: Common,
        asker: Arc<Asker>,
        publisher: Arc<Publisher>,
        register: Arc<Register>,
        transactions: Option<Transactions>,
    ) -> Self {
        Self {
            options,
            common,
            asker,
            publisher,
            register,
            narrowed: Narrowed::default(),
            epochs: Arc::default(),
            members: Mutex::default(),
            mover: Mutex::default(),
            transactions,
            delaying: tokio::sync::Mutex::default(),
            keeping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// A channel; one that is not known here is looked for on the cluster.
    pub(crate) async fn channel(&self, name: &ChannelName) -> Result<Option<Arc<Channel>>, KafkaFailure> {
        if let Some(channel) = self.register.catalog.get(name) {
            return Ok(Some(channel));
        }
        self.register.refresh().await?;
        Ok(self.register.catalog.get(name))
    }

    /// Channels that all declare the group.
    pub(crate) async fn declared(
        &self,
        names: &[ChannelName],
        group: &GroupName,
    ) -> Result<Vec<Arc<Channel>>, ConsumeError> {
        let mut declared = Vec::with_capacity(names.len());
        let fatal = |failure: KafkaFailure| ConsumeError::Fatal(failure.into());
        for name in names {
            let unknown = || ConsumeError::UnknownChannel(name.clone());
            let mut channel = self.channel(name).await.map_err(fatal)?.ok_or_else(unknown)?;
            if !channel.groups.contains(group) {
                // Another process may just have added it.
                self.register.refresh().await.map_err(fatal)?;
                channel = self.register.catalog.get(name).ok_or_else(unknown)?;
            }
            if !channel.groups.contains(group) {
                return Err(ConsumeError::UnknownGroup { channel: name.clone(), group: group.to_string() });
            }
            declared.push(channel);
        }
        Ok(declared)
    }

    /// A channel's place in an intake.
    pub(crate) fn slot(&self, channel: &Channel, inbox: &Arc<Inbox>) -> Arc<Slot> {
        Arc::new(Slot {
            channel: channel.name.clone(),
            topic: channel.topic.clone(),
            incarnation: channel.incarnation.clone(),
            held: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            out: Load::default(),
            waiting: Load::default(),
            seen: Load::default(),
            inbox: Arc::downgrade(inbox),
        })
    }

    pub(crate) fn add_member(&self, group: GroupName, inbox: &Arc<Inbox>) {
        let mut members = lock(&self.members);
        members.retain(|(_, inbox)| inbox.strong_count() > 0);
        members.push((group, Arc::downgrade(inbox)));
    }

    /// The leases that this process holds.
    pub(crate) fn leases(&self) -> Vec<(GroupName, Arc<Part>)> {
        let members = lock(&self.members);
        let alive = members.iter().filter_map(|(group, inbox)| Some((group, inbox.upgrade()?)));
        alive
            .flat_map(|(group, inbox)| inbox.parts().into_iter().map(move |part| (group.clone(), part)))
            .collect()
    }

    /// Waits until the members whose intakes were dropped have left their groups, then ends everything else; returns when
    /// the mover has left its group, too. An intake that is still there is waited for.
    pub(crate) async fn leave(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        let any = || lock(&self.members).iter().any(|(_, inbox)| inbox.strong_count() > 0);
        while any() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mover = lock(&self.mover).as_ref().map(Arc::downgrade);
        self.close(false);
        while mover.as_ref().is_some_and(|mover| mover.strong_count() > 0) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends everything. `abandon`: as if the process were killed.
    pub(crate) fn close(&self, abandon: bool) {
        self.closed.store(true, Ordering::Release);
        if let Some(mover) = lock(&self.mover).take() {
            mover.stop(abandon);
        }
        if abandon {
            for (_, inbox) in lock(&self.members).iter() {
                if let Some(inbox) = inbox.upgrade() {
                    inbox.abandoned.store(true, Ordering::Release);
                }
            }
            self.publisher.abandon();
        } else {
            self.publisher.stop();
        }
        if let Some(transactions) = &self.transactions {
            transactions.close(abandon);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Acquire) {
            self.close(false);
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
