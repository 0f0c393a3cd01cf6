//! One destination as the runtime serves it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trunkline_broker::{ChannelName, Key};
use trunkline_core::DestinationName;

use super::Hosted;
use super::attempt::Job;
use super::gate::{Change, Gate, Signal};
use super::lanes::{Lanes, Taken};
use super::measure::Gauges;
use super::pace::Pace;
use crate::config::DestinationSettings;
use crate::registry::AnyDestination;
use crate::secrets::Secrets;

/// A destination's adapter, its gate, its lanes and its pace. Like them it decides and does nothing itself.
pub(super) struct Hosting {
    pub(super) name: DestinationName,
    pub(super) channel: ChannelName,
    pub(super) serial: u64,
    pub(super) secrets: Secrets,
    /// Whether the intake holds its channel.
    pub(super) held: bool,
    pub(super) gate: Gate,
    adapter: Arc<dyn AnyDestination>,
    settings: Arc<DestinationSettings>,
    lanes: Lanes,
    pace: Pace,
    under_way: usize,
    /// The key of the delivery that showed last that the destination takes nothing: the next trial is another's, if
    /// there is another.
    suspect: Option<Key>,
    gauges: Gauges,
}

/// An attempt of a destination that ended.
pub(super) struct Ended {
    pub(super) signal: Signal,
    pub(super) trial: bool,
    pub(super) key: Key,
    /// The delivery, when it waits for the destination.
    pub(super) waits: Option<Taken>,
}

impl Hosting {
    pub(super) fn new(hosted: Hosted, serial: u64, now: Instant) -> Self {
        let Hosted { name, adapter, settings, secrets } = hosted;
        let gauges = Gauges::new(&name);
        Self {
            channel: ChannelName::deliver(&name),
            name,
            serial,
            secrets,
            held: false,
            gate: Gate::new(&settings),
            adapter,
            lanes: Lanes::default(),
            pace: Pace::new(settings.rate_limit, now),
            settings: Arc::new(settings),
            under_way: 0,
            suspect: None,
            gauges,
        }
    }

    /// Takes over another adapter or other settings, if they are others. Attempts under way end with the old ones.
    pub(super) fn reconfigure(&mut self, hosted: Hosted) {
        let same_adapter = Arc::ptr_eq(&self.adapter, &hosted.adapter);
        if same_adapter && *self.settings == hosted.settings {
            return;
        }
        self.gate.reconfigure(&hosted.settings);
        self.pace.set(hosted.settings.rate_limit);
        self.adapter = hosted.adapter;
        self.settings = Arc::new(hosted.settings);
        self.secrets = hosted.secrets;
    }

    /// A delivery came in.
    pub(super) fn push(&mut self, taken: Taken) {
        self.lanes.push(taken, self.settings.ordering);
    }

    /// The next attempt that may begin now; it counts as under way from now on. Ask after [`Gate::tick`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Job> {
        let trial = self.gate.permits()?;
        if self.under_way >= self.settings.concurrency.max(1) || self.pace.wait(now).is_some() {
            return None;
        }
        let avoid = if trial { self.suspect.as_ref() } else { None };
        let taken = self.lanes.next(avoid)?;
        self.gate.began();
        self.pace.took(now);
        self.under_way += 1;
        Some(Job {
            destination: self.name.clone(),
            serial: self.serial,
            adapter: self.adapter.clone(),
            settings: self.settings.clone(),
            taken,
            trial,
        })
    }

    /// An attempt ended. A delivery that waits keeps its place: in its lane while attempts are made, else on the broker,
    /// where all go back to.
    pub(super) fn ended(&mut self, ended: Ended, now: Instant) -> Change {
        let Ended { signal, trial, key, waits } = ended;
        self.under_way = self.under_way.saturating_sub(1);
        self.lanes.done(&key);
        let change = self.gate.ended(signal, trial, now);
        self.suspect = matches!(signal, Signal::Halted | Signal::Transient).then_some(key);
        if let Some(taken) = waits.filter(|_| !self.gate.is_shut(now)) {
            self.lanes.put_back(taken, self.settings.ordering);
        }
        change
    }

    /// Drops waiting deliveries, those of one partition or all: they go back to the engine.
    pub(super) fn give_back(&mut self, partition: Option<u16>) {
        self.lanes.give_back(partition);
    }

    /// How often one delivery may try while it is held.
    pub(super) fn probe_every(&self) -> Duration {
        self.settings.probe_every
    }

    /// When something changes by time alone.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let can_begin = self.lanes.has_next()
            && self.under_way < self.settings.concurrency.max(1)
            && self.gate.permits().is_some();
        let pace = if can_begin { self.pace.wait(now) } else { None };
        [self.gate.wake(), pace].into_iter().flatten().min()
    }

    /// Tells the metrics how it stands.
    pub(super) fn measure(&self) {
        self.gauges.set(self.lanes.waiting(), self.under_way, self.gate.trouble());
    }

    /// Tells the metrics that it is not served any more.
    pub(super) fn unmeasure(&self) {
        self.gauges.set(0, 0, None);
    }
}
