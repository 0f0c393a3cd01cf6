//! What the intake tells: records, leases, damage.

use metrics::gauge;
use tracing::{debug, error, warn};
use trunkline_broker::{ChannelName, ConsumeError, Intaken, Lease, Received};
use trunkline_core::Delivery;

use super::super::alarm::chain;
use super::super::lanes::{LeaseFlag, Record, Taken};
use super::super::settlement::Settlement;
use super::{Pump, RuntimeError, consume_error};
use crate::config::code;
use crate::metric;

impl Pump {
    pub(super) async fn take(&mut self, taken: Result<Intaken, ConsumeError>) -> Result<(), RuntimeError> {
        match taken {
            Ok(Intaken::Batch(records)) => records.into_iter().for_each(|record| self.receive(record)),
            Ok(Intaken::Assigned(lease)) => {
                debug!(channel = %lease.channel, partition = lease.partition, epoch = lease.epoch, "lease assigned");
                self.leases.insert((lease.channel, lease.partition), LeaseFlag::default());
            }
            // Attempts under way end and are settled; no new one begins.
            Ok(Intaken::Revoking(lease, _until)) => self.give_back(&lease),
            Ok(Intaken::Lost(lease)) => {
                self.give_back(&lease);
                if let Some(flag) = self.leases.remove(&(lease.channel, lease.partition)) {
                    flag.lose();
                }
            }
            Err(ConsumeError::Damaged { channel, detail }) => self.stop_damaged(&channel, &detail).await?,
            Err(error) => return Err(consume_error(error)),
        }
        Ok(())
    }

    /// Puts a record in its lane; one that is no delivery becomes a dead letter. What is not wanted now is dropped and
    /// so given back.
    fn receive(&mut self, received: Received) {
        let Received { channel, position, key, headers, value, receipt, .. } = received;
        let hosting = self.by_channel.get(&channel).and_then(|name| self.hostings.get_mut(name));
        let Some(hosting) = hosting.filter(|hosting| !hosting.held) else { return };
        let partition = position.partition;
        let lease = self.leases.entry((channel, partition)).or_default().clone();
        let record = Record { receipt, key, headers, partition, lease };
        match Delivery::decode(value.clone()) {
            Ok(delivery) => hosting.push(Taken { delivery, record }),
            Err(error) => {
                let detail = chain(&error);
                warn!(destination = %hosting.name, detail, "a record is no delivery; it becomes a dead letter");
                let (now, max_record) = (self.bench.clock.now(), self.bench.max_record);
                let letter = Settlement::undecodable(&hosting.name, record, value, detail, now, max_record);
                self.settle(letter);
            }
        }
    }

    fn give_back(&mut self, lease: &Lease) {
        let hosting = self.by_channel.get(&lease.channel).and_then(|name| self.hostings.get_mut(name));
        if let Some(hosting) = hosting {
            hosting.give_back(Some(lease.partition));
        }
    }

    /// A damaged channel stops its own destination and no other.
    async fn stop_damaged(&mut self, channel: &ChannelName, detail: &str) -> Result<(), RuntimeError> {
        error!(code = code::CHANNEL_DAMAGED, %channel, detail, "a channel is damaged; its destination is not served until that is repaired");
        gauge!(metric::CHANNEL_DAMAGED, "channel" => channel.to_string()).set(1.0);
        let Some(name) = self.by_channel.get(channel).cloned() else { return Ok(()) };
        self.unhost(&name).await.map_err(consume_error)
    }
}
