//! Time inside one run of the engine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock as it stood when the engine was opened, carried on by the monotonic one: a jump of the wall clock
/// neither hastens a delay nor ages a record while the process runs. Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    opened: Instant,
    wall: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { opened: Instant::now(), wall: millis(SystemTime::now()) }
    }

    /// Milliseconds since 1970, never going back.
    pub(crate) fn now(&self) -> i64 {
        self.wall.saturating_add(i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// When `due` will be, from now on; zero when it is past.
    pub(crate) fn until(&self, due: i64) -> Duration {
        Duration::from_millis(u64::try_from(due.saturating_sub(self.now())).unwrap_or(0))
    }
}

/// Milliseconds since 1970; times before it count as 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time of so many milliseconds since 1970.
pub(crate) fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// `2026-01-31T12:00:00Z`, by the civil calendar's usual arithmetic on days since 1970.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = millis(time) / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second % 3600 / 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_follows_the_calendar() {
        let check = |millis: i64, text: &str| assert_eq!(utc(time(millis)), text);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400_000, "2000-02-29T00:00:00Z");
        check(1_735_689_599_000, "2024-12-31T23:59:59Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00Z");
    }
}
