//! Numbers for records: RabbitMQ gives them none.
//!
//! A record's number is made by whoever publishes it: microseconds by that process's clock, and twelve bits that tell
//! processes apart. Numbers of one process ascend strictly, also when its clock is turned back. Between processes they ascend
//! as well as the clocks agree; a delayed record keeps the number it was published with.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2020-01-01, from which the microseconds count; they fit 51 bits until 2091.
const EPOCH: Duration = Duration::from_secs(1_577_836_800);
const PROCESS_BITS: u32 = 12;

/// A process's numbers.
#[derive(Debug)]
pub(crate) struct Sequence {
    process: i64,
    last: i64,
}

impl Sequence {
    pub(crate) fn new() -> Self {
        let random = RandomState::new().hash_one(PROCESS_BITS);
        Self { process: (random & ((1 << PROCESS_BITS) - 1)) as i64, last: 0 }
    }

    /// The next number.
    pub(crate) fn next(&mut self, now: SystemTime) -> i64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EPOCH);
        let micros = i64::try_from(since.as_micros()).unwrap_or(0);
        self.last = micros.max(self.last + 1);
        (self.last << PROCESS_BITS) | self.process
    }
}

/// When the record with this number was published, by its publisher's clock.
pub(crate) fn published(number: i64) -> SystemTime {
    let micros = u64::try_from(number >> PROCESS_BITS).unwrap_or(0);
    UNIX_EPOCH + EPOCH + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_whatever_the_clock_does() {
        let mut sequence = Sequence::new();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let numbers: Vec<i64> = [now, now, now - Duration::from_secs(3600), now + Duration::from_micros(1)]
            .map(|now| sequence.next(now))
            .into();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert_eq!(published(numbers[0]), now);
        assert!(numbers.iter().all(|number| *number > 0));
    }
}
