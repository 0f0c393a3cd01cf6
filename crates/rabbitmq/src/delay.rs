//! Delay by levels: queues in which a record waits 250 ms times a power of two.
//!
//! A delay is a sum of levels, at most five of them: the digits of its number of quarter seconds, rounded up. The digits are
//! the words of the routing key, lowest first, the partition last; each level's topic exchange looks at its own word, and
//! leads into the level's queue or past it to the next lower one. RabbitMQ dead-letters from queue to exchange, at least once.

use std::time::Duration;

/// Milliseconds of the lowest level.
const UNIT: u64 = 250;
/// How many levels there can be: together 48 days.
pub(crate) const LEVELS: u8 = 24;
/// The delay's leading binary digits that are kept: it grows by a sixteenth at most.
const DIGITS: u32 = 5;

/// A delay in levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delay(u32);

impl Delay {
    /// `None` when there is nothing to wait for. What exceeds all levels together is cut to that.
    pub(crate) fn new(delay: Duration) -> Option<Self> {
        if delay.is_zero() {
            return None;
        }
        let millis = u64::try_from(delay.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        let units = millis.div_ceil(UNIT).max(1);
        let dropped = (u64::BITS - units.leading_zeros()).saturating_sub(DIGITS);
        let rounded = units.div_ceil(1 << dropped).checked_shl(dropped).unwrap_or(u64::MAX);
        let most = (1_u64 << LEVELS) - 1;
        u32::try_from(rounded.min(most)).ok().map(Self)
    }

    /// The highest level it needs, where it begins.
    pub(crate) fn top(self) -> u8 {
        // It has at most LEVELS digits and is not zero.
        (u32::BITS - 1 - self.0.leading_zeros()) as u8
    }

    /// Its words and the partition.
    pub(crate) fn routing_key(self, partition: u16) -> String {
        let mut key = String::with_capacity(2 * usize::from(LEVELS) + 5);
        for level in 0..LEVELS {
            key.push(if self.0 >> level & 1 == 1 { '1' } else { '0' });
            key.push('.');
        }
        key.push_str(&partition.to_string());
        key
    }
}

/// How long a record waits on a level. A millisecond more than the sum needs, because the broker cuts its clock to whole ones.
pub(crate) fn level_ttl(level: u8) -> u64 {
    (UNIT << level) + 1
}

/// What a level's exchange binds its queue with (`wait`), or the next lower exchange.
pub(crate) fn pattern(level: u8, wait: bool) -> String {
    format!("{}{}.#", "*.".repeat(usize::from(level)), u8::from(wait))
}

/// What a group's exchange of due records binds a partition's queue with.
pub(crate) fn due_pattern(partition: u16) -> String {
    format!("#.{partition}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a topic exchange does with a pattern of `*`, a word and a final `#`.
    fn matches(pattern: &str, key: &str) -> bool {
        let words: Vec<&str> = key.split('.').collect();
        let (fixed, _) = pattern.rsplit_once(".#").expect("a level's pattern");
        fixed.split('.').enumerate().all(|(index, word)| word == "*" || words.get(index) == Some(&word))
    }

    /// Follows a record through the levels, as the broker does; returns the time it waits.
    fn walk(delay: Delay) -> u64 {
        let key = delay.routing_key(7);
        let mut waited = 0;
        for level in (0..=delay.top()).rev() {
            let wait = matches(&pattern(level, true), &key);
            assert_ne!(wait, matches(&pattern(level, false), &key));
            waited += if wait { level_ttl(level) } else { 0 };
        }
        waited
    }

    proptest! {
        #[test]
        fn never_early_and_at_most_an_eighth_or_a_second_late(millis in 1_u64..4_000_000_000) {
            let delay = Delay::new(Duration::from_millis(millis)).expect("not zero");
            let waited = walk(delay);
            prop_assert!(waited >= millis);
            // Half of what is allowed; the other half is for the way through the broker.
            prop_assert!(waited - millis <= (millis / 16).max(500), "{} late", waited - millis);
            prop_assert!(delay.0.count_ones() <= DIGITS);
        }
    }

    #[test]
    fn no_delay_is_none_and_a_nanosecond_is_one() {
        assert_eq!(Delay::new(Duration::ZERO), None);
        assert_eq!(Delay::new(Duration::from_nanos(1)), Some(Delay(1)));
        assert_eq!(Delay::new(Duration::from_secs(1)), Some(Delay(4)));
        assert_eq!(Delay::new(Duration::MAX), Some(Delay((1 << LEVELS) - 1)));
    }

    #[test]
    fn the_partition_is_the_last_word() {
        let key = Delay(5).routing_key(12);
        assert!(key.starts_with("1.0.1.0.") && key.ends_with(".0.12"), "{key}");
        assert_eq!(due_pattern(12), "#.12");
    }
}
