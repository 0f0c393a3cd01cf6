//! A consumer as a case plays it: takes a known number of records, settles them, or waits until nothing comes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::broker::{Broker, Start};
use crate::channel::{ChannelName, GroupName};
use crate::error::ConsumeError;
use crate::intake::{Intake, Intaken};
use crate::record::{Outgoing, Receipt, Received};
use crate::settler::Settler;

use super::fixture::Fixture;

/// An intake with its settler, its leases and what it took beyond what the case asked for.
pub struct Consumer {
    /// The intake itself.
    pub intake: Box<dyn Intake>,
    /// Its settler.
    pub settler: Arc<dyn Settler>,
    /// The partitions it may take from now.
    pub leases: BTreeSet<(ChannelName, u16)>,
    /// The partitions it was told to leave, ever.
    pub revoked: BTreeSet<(ChannelName, u16)>,
    surplus: VecDeque<Received>,
    patience: Duration,
    quiet: Duration,
}

impl Consumer {
    /// Joins a group; fails the case when that fails.
    pub async fn join<F: Fixture>(
        f: &F,
        broker: &Arc<dyn Broker>,
        channels: &[ChannelName],
        group: &GroupName,
    ) -> Self {
        Self::try_join(f, broker, channels, group).await.expect("joining a declared group")
    }

    /// Joins a group, if that can be done now.
    pub async fn try_join<F: Fixture>(
        f: &F,
        broker: &Arc<dyn Broker>,
        channels: &[ChannelName],
        group: &GroupName,
    ) -> Result<Self, ConsumeError> {
        let (intake, settler) = broker.consume(channels, group, Start::Oldest).await?;
        Ok(Self {
            intake,
            settler,
            leases: BTreeSet::new(),
            revoked: BTreeSet::new(),
            surplus: VecDeque::new(),
            patience: f.patience(),
            quiet: f.quiet(),
        })
    }

    /// How long it waits for what must come.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The next news; leases are noted, records (if any) returned. Cancel-safe.
    pub async fn step(&mut self) -> Result<Vec<Received>, ConsumeError> {
        if !self.surplus.is_empty() {
            return Ok(self.surplus.drain(..).collect());
        }
        match self.intake.next().await? {
            Intaken::Assigned(lease) => {
                self.leases.insert((lease.channel, lease.partition));
            }
            Intaken::Revoking(lease, _) | Intaken::Lost(lease) => {
                let partition = (lease.channel, lease.partition);
                self.leases.remove(&partition);
                self.revoked.insert(partition);
            }
            Intaken::Batch(records) => {
                assert!(!records.is_empty(), "a batch holds at least one record");
                return Ok(records);
            }
        }
        Ok(Vec::new())
    }

    /// Exactly `count` records; fails the case when they do not come.
    pub async fn take(&mut self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + self.patience;
        let mut taken = Vec::new();
        while taken.len() < count {
            match timeout_at(deadline, self.step()).await {
                Ok(records) => taken.extend(records.expect("an intake that nothing disturbed goes on")),
                Err(_) => panic!("only {} of {count} records came", taken.len()),
            }
        }
        self.surplus.extend(taken.drain(count..));
        taken
    }

    /// Exactly `count` records, settled at once as they come; the records are returned without receipts.
    pub async fn take_and_settle(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let mut records = self.take(1).await;
            while taken.len() + records.len() < count
                && let Some(more) = self.surplus.pop_front()
            {
                records.push(more);
            }
            let (receipts, records) = part(records);
            self.settle_receipts(receipts).await;
            taken.extend(records);
        }
        taken
    }

    /// What comes until nothing has come for the fixture's quiet time. Nothing is settled.
    pub async fn until_quiet(&mut self) -> Vec<Received> {
        let mut taken = Vec::new();
        let mut deadline = Instant::now() + self.quiet;
        while let Ok(records) = timeout_at(deadline, self.step()).await {
            let records = records.expect("an intake that nothing disturbed goes on");
            if !records.is_empty() {
                deadline = Instant::now() + self.quiet;
            }
            taken.extend(records);
        }
        taken
    }

    /// Fails the case when a record comes.
    pub async fn expect_nothing(&mut self) {
        let more = self.until_quiet().await;
        assert!(more.is_empty(), "nothing should come, but {} records did: {:?}", more.len(), more.first());
    }

    /// Waits, for news only, until the condition holds; records that come meanwhile are kept for [`Self::take`].
    pub async fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + self.patience;
        let mut records = Vec::new();
        while !condition(self) {
            match timeout_at(deadline, self.step()).await {
                Ok(more) => records.extend(more.expect("an intake that nothing disturbed goes on")),
                Err(_) => panic!("waited in vain for: {what}"),
            }
        }
        self.surplus.extend(records);
    }

    /// Settles records without consequence; fails the case when that fails.
    pub async fn settle(&self, records: Vec<Received>) {
        self.settle_receipts(part(records).0).await;
    }

    /// Settles receipts without consequence; fails the case when that fails.
    pub async fn settle_receipts(&self, receipts: Vec<Receipt>) {
        self.hand_over(receipts, Vec::new()).await;
    }

    /// Hands over; fails the case when that fails.
    pub async fn hand_over(&self, receipts: Vec<Receipt>, outputs: Vec<Outgoing>) {
        self.settler.hand_over(receipts, outputs).await.expect("a hand-over that nothing disturbed succeeds");
    }

    /// Goes on taking news for ever, and fails the case when a record comes; for the arm of a `select!`.
    pub async fn expect_nothing_ever(&mut self) -> std::convert::Infallible {
        loop {
            let records = self.step().await.expect("an intake that nothing disturbed goes on");
            assert!(records.is_empty(), "nothing should come, but {} records did", records.len());
        }
    }

    /// Leaves the group, giving back what it took beyond what was asked for; the settler remains.
    pub fn leave(self) -> Arc<dyn Settler> {
        self.settler
    }
}

/// Takes the receipts off records; the records stay to be looked at, and say so in their debug form.
pub fn part(records: Vec<Received>) -> (Vec<Receipt>, Vec<Received>) {
    let mut receipts = Vec::with_capacity(records.len());
    let mut bare = Vec::with_capacity(records.len());
    for mut record in records {
        receipts.push(std::mem::replace(&mut record.receipt, Receipt::observed()));
        bare.push(record);
    }
    (receipts, bare)
}
