//! The destinations a process hosts, kept in step with the configuration.

use std::collections::BTreeMap;

use trunkline_core::DestinationName;
use trunkline_core::config::{Diagnostics, Node};

use super::exit::ServiceError;
use crate::config::{DestinationEntry, Shared, TypeEntry};
use crate::delivery::Hosted;
use crate::registry::Adapters;

/// Makes the adapters of destinations, and keeps those whose entry did not change.
pub struct Roster {
    adapters: Adapters,
    instance: String,
    hosted: BTreeMap<DestinationName, (Node, Hosted)>,
    /// The types the adapters were made with.
    types: BTreeMap<String, TypeEntry>,
}

impl Roster {
    /// None yet.
    pub fn new(adapters: Adapters, instance: &str) -> Self {
        Self { adapters, instance: instance.to_owned(), hosted: BTreeMap::new(), types: BTreeMap::new() }
    }

    /// The destinations to host by a configuration: all that `choose` keeps. It may change the entry it keeps.
    ///
    /// # Errors
    /// [`ServiceError::Configuration`] with everything that is wrong with any of them; the roster is then as before.
    pub async fn update(
        &mut self,
        shared: &Shared,
        choose: impl Fn(&DestinationName, &DestinationEntry) -> Option<DestinationEntry>,
    ) -> Result<Vec<Hosted>, ServiceError> {
        let mut diagnostics = Diagnostics::new();
        let mut updated = BTreeMap::new();
        for (name, entry) in &shared.destinations {
            let Some(entry) = choose(name, entry) else { continue };
            let same = |(node, _): &&(Node, Hosted)| *node == entry.node && self.types == shared.types;
            let kept = self.hosted.get(name).filter(same);
            let hosted = match kept {
                Some((_node, hosted)) => Some(hosted.clone()),
                None => self.make(shared, name, &entry, &mut diagnostics).await,
            };
            updated.extend(hosted.map(|hosted| (name.clone(), (entry.node, hosted))));
        }
        if diagnostics.has_errors() {
            return Err(ServiceError::Configuration(diagnostics));
        }
        self.hosted = updated;
        self.types.clone_from(&shared.types);
        Ok(self.hosted.values().map(|(_node, hosted)| hosted.clone()).collect())
    }

    async fn make(
        &self,
        shared: &Shared,
        name: &DestinationName,
        entry: &DestinationEntry,
        diagnostics: &mut Diagnostics,
    ) -> Option<Hosted> {
        let context = shared.context(name.as_str(), &self.instance);
        match self.adapters.make_destination(entry, &context).await {
            Ok(adapter) => Some(Hosted {
                name: name.clone(),
                adapter,
                settings: entry.runtime.clone(),
                // Those the adapter reads with: a change of one is noticed here.
                secrets: context.secrets,
            }),
            Err(error) => {
                error.report(&entry.node, &entry.settings, diagnostics);
                None
            }
        }
    }
}
