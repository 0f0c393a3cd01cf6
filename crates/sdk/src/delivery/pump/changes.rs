//! What changes how destinations are served: outcomes of attempts, shared states, secrets, a new configuration.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tracing::{error, info, warn};
use trunkline_broker::{ChannelName, ConsumeError};
use trunkline_core::DestinationName;
use trunkline_core::journey::JourneyStep;
use trunkline_store::DestinationStateKind;

use super::super::attempt::Finished;
use super::super::gate::{Change, Signal};
use super::super::hosting::{Ended, Hosting};
use super::super::settlement::Settlement;
use super::super::watch::{Notice, Write};
use super::{Attempting, Hosted, Pump};

impl Pump {
    /// An attempt ended, or another task did.
    pub(super) fn ended(&mut self, end: Result<(Id, Option<Finished>), JoinError>) {
        let (id, finished) = match end {
            Ok((id, finished)) => (id, finished),
            Err(error) => {
                error!(%error, "a task of the delivery runtime failed; its delivery was given back");
                (error.id(), None)
            }
        };
        let Some(attempting) = self.attempts.remove(&id) else { return };
        let Some(hosting) = self.hostings.get_mut(&attempting.destination) else { return };
        if hosting.serial != attempting.serial {
            return;
        }
        let Attempting { destination, trial, key, .. } = attempting;
        // Without a word from the attempt its delivery was given back.
        let (signal, waits) =
            finished.map_or((Signal::Unknown, None), |finished| (finished.signal, finished.waits));
        let (step, taken) = waits.map(|waits| (waits.step, waits.taken)).unzip();
        let change = hosting.ended(Ended { signal, trial, key, waits: taken }, Instant::now());
        self.changed(&destination, change, step);
    }

    /// Says what an attempt changed: to operators, to the store, to the journey. `step` is the attempt's, when its
    /// delivery waits.
    fn changed(&mut self, name: &DestinationName, change: Change, step: Option<JourneyStep>) {
        let Some(hosting) = self.hostings.get(name) else { return };
        let reason = step.as_ref().map(|step| step.detail.clone()).unwrap_or_default();
        match change {
            Change::None => return,
            Change::Tripped => {
                return warn!(destination = %name, "too many failures one after the other: no attempts for a while");
            }
            Change::Closed => return info!(destination = %name, "the destination works again"),
            Change::Resumed => {
                info!(destination = %name, "the destination takes deliveries again");
                return self.writes.put(name.clone(), Write::Resume);
            }
            Change::Held => {
                error!(destination = %name, reason, "the destination takes nothing; its deliveries wait");
                let probe_every = hosting.probe_every();
                self.writes.put(name.clone(), Write::Hold { reason, probe_every });
            }
            Change::Disabled => {
                error!(destination = %name, reason, "the destination is gone; its deliveries wait for a resume");
                self.writes.put(name.clone(), Write::Disable { reason });
            }
        }
        if let Some(step) = step {
            self.settle(Settlement::only_step(name, step));
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::States { states, as_of } => self.set_states(&states, as_of),
            Notice::SecretChanged(name) => {
                if let Some(hosting) = self.hostings.get_mut(&name) {
                    info!(destination = %name, "a secret changed");
                    hosting.gate.probe_now();
                }
            }
        }
    }

    /// Takes shared states over, except those whose destination has changed since they were read.
    pub(super) fn set_states(
        &mut self,
        states: &BTreeMap<DestinationName, DestinationStateKind>,
        as_of: u64,
    ) {
        let now = Instant::now();
        let writes = &self.writes;
        for (name, hosting) in self.hostings.iter_mut().filter(|(name, _)| !writes.asked_after(name, as_of)) {
            let state = states.get(name).copied().unwrap_or(DestinationStateKind::Open);
            let before = hosting.gate.standing();
            hosting.gate.set_standing(state, now);
            if before != state {
                info!(destination = %name, ?before, now = ?state, "the destination's state was changed");
            }
        }
        self.states = states.clone();
    }

    /// Serves exactly `destinations`.
    pub(super) async fn replace(&mut self, destinations: Vec<Hosted>) -> Result<(), ConsumeError> {
        let wanted: BTreeSet<_> = destinations.iter().map(|hosted| hosted.name.clone()).collect();
        let present: BTreeSet<_> = self.hostings.keys().cloned().collect();
        let channels: Vec<_> = destinations
            .iter()
            .filter(|hosted| !present.contains(&hosted.name))
            .map(|hosted| ChannelName::deliver(&hosted.name))
            .collect();
        if !channels.is_empty() {
            self.intake.add(&channels).await?;
        }
        self.host(destinations);
        for name in present.difference(&wanted) {
            self.unhost(name).await?;
        }
        Ok(())
    }

    /// Hosts destinations whose channels are consumed; those already hosted may have changed.
    pub(super) fn host(&mut self, destinations: Vec<Hosted>) {
        let now = Instant::now();
        for hosted in destinations {
            match self.hostings.get_mut(&hosted.name) {
                Some(hosting) => hosting.reconfigure(hosted),
                None => {
                    self.serials += 1;
                    let mut hosting = Hosting::new(hosted, self.serials, now);
                    if let Some(state) = self.states.get(&hosting.name) {
                        hosting.gate.set_standing(*state, now);
                    }
                    self.by_channel.insert(hosting.channel.clone(), hosting.name.clone());
                    self.hostings.insert(hosting.name.clone(), hosting);
                }
            }
        }
        self.watch_secrets();
    }

    /// Serves a destination no more: what it had not attempted is given back, attempts under way end and are settled.
    pub(super) async fn unhost(&mut self, name: &DestinationName) -> Result<(), ConsumeError> {
        let Some(hosting) = self.hostings.remove(name) else { return Ok(()) };
        hosting.unmeasure();
        self.by_channel.remove(&hosting.channel);
        self.leases.retain(|(channel, _), _| *channel != hosting.channel);
        self.watch_secrets();
        self.intake.remove(std::slice::from_ref(&hosting.channel)).await
    }

    fn watch_secrets(&mut self) {
        let secrets = self.hostings.values();
        self.secrets
            .send_replace(secrets.map(|hosting| (hosting.name.clone(), hosting.secrets.clone())).collect());
    }
}
