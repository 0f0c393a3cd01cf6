//! How many dead letters of a replay are read from the store at once.

use super::{BATCH, BATCH_BYTES, FIRST_BATCH};

/// Follows the size of dead letters, which differ ten-thousandfold, so that few large ones are in memory and many small ones
/// go at once.
pub(super) struct Portion {
    items: u32,
}

impl Portion {
    pub(super) fn new() -> Self {
        Self { items: FIRST_BATCH }
    }

    /// How many to read, at most [`BATCH`].
    pub(super) fn items(&self) -> u32 {
        self.items
    }

    /// Notes how long the records of some were: next time as many as fit at that size, and no more than twice as many.
    pub(super) fn took(&mut self, items: usize, bytes: usize) {
        let fitting = items.saturating_mul(BATCH_BYTES) / bytes.max(1);
        let fitting = u32::try_from(fitting).unwrap_or(BATCH);
        self.items = fitting.clamp(1, self.items.saturating_mul(2).min(BATCH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_go_many_at_once_and_large_ones_few() {
        let mut portion = Portion::new();
        for expected in [16, 32, 64, 100, 100] {
            portion.took(8, 8 * 1024);
            assert_eq!(portion.items(), expected);
        }
        portion.took(10, 40 << 20);
        assert_eq!(portion.items(), 2);
        portion.took(2, 32 << 20);
        assert_eq!(portion.items(), 1);
        portion.took(1, 0);
        assert_eq!(portion.items(), 2, "an item that is skipped has no record");
    }
}
