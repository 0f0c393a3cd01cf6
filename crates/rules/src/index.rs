//! Finds the few subscriptions that may match an event among many.
//!
//! Each pattern is filed where an event that matches it must come by: under the values or prefixes that its most
//! selective attribute (`type`, `source`, `subject`, `id`, an extension) may have; and, where many share those, under
//! the values of its most selective data field. A lookup is a few hash lookups, however many patterns there are, and
//! gives candidates: every pattern that matches, and some that do not. The evaluator has the last word.
//!
//! What can't be filed so (`$or` at the root, `wildcard`, `anything-but` and others alone) is a candidate for each
//! event. The data is decoded only when the candidates by attributes leave a question that needs it.

mod hooks;
mod table;

use std::collections::HashMap;

use trunkline_core::view::EventView;

use self::hooks::{Attribute, DataSlot, Hook, Slot};
use self::table::{Filed, Keyed};
use crate::pattern::Pattern;

/// A position in the list the index was built from.
pub(crate) type Position = u32;

/// A pattern that may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) position: Position,
    /// Whether being found is all that the pattern asks for, so that the evaluator need not be asked.
    pub(crate) certain: bool,
}

/// Patterns by what their events must have.
#[derive(Debug, Default)]
pub(crate) struct Index {
    attributes: Vec<(Attribute, Filed<Bucket>)>,
    /// Patterns that ask for no attribute by value or prefix.
    rest: Bucket,
}

/// Patterns that share a value of an attribute.
#[derive(Debug, Default)]
struct Bucket {
    /// Most buckets have one pattern, which is found here without another step.
    first: Option<Candidate>,
    more: Vec<Candidate>,
    by_data: Vec<DataTable>,
}

/// Patterns that ask for exact values of one data field.
#[derive(Debug)]
struct DataTable {
    path: hooks::DataPath,
    values: Keyed<Vec<Position>>,
    members: Vec<Position>,
}

/// Up to so many patterns in one place are asked one by one; beyond it a lookup in the data is cheaper.
const FEW: usize = 4;

impl Index {
    /// Builds the index; positions are those of the patterns in the iterator.
    pub(crate) fn build<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let slots = |pattern: &Pattern| {
            (hooks::attribute_slots(pattern), hooks::data_slots(pattern), pattern.has_one_question())
        };
        let places: Vec<_> = patterns.map(slots).collect();
        let mut shared: HashMap<(&Attribute, &Hook), usize> = HashMap::new();
        let mut shared_data: HashMap<(&hooks::DataPath, &Hook), usize> = HashMap::new();
        for (slots, data, _) in &places {
            for (slot, hook) in slots.iter().flat_map(|slot| slot.hooks.iter().map(move |hook| (slot, hook)))
            {
                *shared.entry((&slot.of, hook)).or_default() += 1;
            }
            for (slot, hook) in data.iter().flat_map(|slot| slot.hooks.iter().map(move |hook| (slot, hook))) {
                *shared_data.entry((&slot.of, hook)).or_default() += 1;
            }
        }
        let mut index = Index::default();
        for (position, (slots, data, one_question)) in (0..).zip(&places) {
            let (cost, slot) =
                best(slots, &shared).map_or((places.len(), None), |(cost, slot)| (cost, Some(slot)));
            let data = if cost > FEW { best(data, &shared_data).map(|(_, slot)| slot) } else { None };
            match slot {
                None => index.rest.file(Candidate { position, certain: false }, data),
                Some(slot) => index.file(Candidate { position, certain: *one_question }, slot, data),
            }
        }
        index
    }

    fn file(&mut self, candidate: Candidate, slot: &Slot, data: Option<&DataSlot>) {
        let found = self.attributes.iter().position(|(attribute, _)| *attribute == slot.of);
        let at = found.unwrap_or_else(|| {
            self.attributes.push((slot.of.clone(), Filed::default()));
            self.attributes.len() - 1
        });
        for hook in &slot.hooks {
            self.attributes[at].1.entry(hook).file(candidate, data);
        }
    }

    /// All patterns that may match, by position, each once. They replace what `candidates` holds.
    pub(crate) fn candidates(&self, view: &EventView<'_>, candidates: &mut Vec<Candidate>) {
        candidates.clear();
        self.rest.collect(view, candidates);
        for (attribute, filed) in &self.attributes {
            attribute.with(view, |value| filed.look_up(value, |bucket| bucket.collect(view, candidates)));
        }
        if candidates.len() > 1 {
            candidates.sort_unstable();
            candidates.dedup();
        }
    }
}

/// The slot whose most shared hook is shared least, and how many patterns share it; the first of equals.
fn best<'a, T: std::hash::Hash + Eq>(
    slots: &'a [Slot<T>],
    shared: &HashMap<(&T, &Hook), usize>,
) -> Option<(usize, &'a Slot<T>)> {
    let cost = |slot: &Slot<T>| {
        slot.hooks.iter().filter_map(|hook| shared.get(&(&slot.of, hook))).max().copied().unwrap_or_default()
    };
    slots.iter().map(|slot| (cost(slot), slot)).min_by_key(|(cost, _)| *cost)
}

impl Bucket {
    fn file(&mut self, candidate: Candidate, data: Option<&DataSlot>) {
        let Some(slot) = data else {
            match self.first {
                None => self.first = Some(candidate),
                Some(_) => self.more.push(candidate),
            }
            return;
        };
        let position = candidate.position;
        let found = self.by_data.iter().position(|table| table.path == slot.of);
        let at = found.unwrap_or_else(|| {
            let table = DataTable { path: slot.of.clone(), values: Keyed::default(), members: Vec::new() };
            self.by_data.push(table);
            self.by_data.len() - 1
        });
        let table = &mut self.by_data[at];
        table.members.push(position);
        for hook in &slot.hooks {
            table.values.entry(hook).push(position);
        }
    }

    fn collect(&self, view: &EventView<'_>, candidates: &mut Vec<Candidate>) {
        candidates.extend(self.first);
        candidates.extend_from_slice(&self.more);
        let ask = |position: &Position| Candidate { position: *position, certain: false };
        for table in &self.by_data {
            match view.data() {
                Ok(None) => {}
                Ok(Some(data)) => hooks::each_leaf(data, &table.path, &mut |leaf| {
                    if let Some(positions) = table.values.get(leaf) {
                        candidates.extend(positions.iter().map(ask));
                    }
                }),
                // Each of them has to say for itself whether its answer depends on the data.
                Err(_) => candidates.extend(table.members.iter().map(ask)),
            }
        }
    }
}
