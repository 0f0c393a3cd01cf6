//! What deliveries, dead letters and journey records have in common on the wire.

use std::time::Duration;

use chrono::{DateTime, Utc};
use trunkline_proto::bus::v1 as bus;

use crate::delivery::DeliveryDecodeError as Error;
use crate::retry::FailureClass;
use crate::timestamp;

/// The longest protobuf `Duration`, about ten thousand years.
const LONGEST: u64 = 315_576_000_000;

pub(crate) fn duration(duration: Duration) -> prost_types::Duration {
    let duration = duration.min(Duration::from_secs(LONGEST));
    // Neither can be out of range: the seconds are capped, the nanoseconds are those of a second.
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or_default();
    prost_types::Duration { seconds, nanos }
}

/// An absent duration is none at all.
pub(crate) fn read_duration(
    duration: Option<prost_types::Duration>,
    field: &'static str,
) -> Result<Duration, Error> {
    let Some(duration) = duration else {
        return Ok(Duration::ZERO);
    };
    let seconds = u64::try_from(duration.seconds).ok().filter(|seconds| *seconds <= LONGEST);
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    seconds.zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos)).ok_or(Error::Invalid(field))
}

pub(crate) fn read_time(
    time: Option<prost_types::Timestamp>,
    field: &'static str,
) -> Result<DateTime<Utc>, Error> {
    let time = time.ok_or(Error::Missing(field))?;
    timestamp::from_parts(time.seconds, time.nanos).ok_or(Error::Invalid(field))
}

/// The class and, where it is throttled, how long.
pub(crate) fn class(class: Option<&FailureClass>) -> (i32, Option<prost_types::Duration>) {
    let (class, retry_after) = match class {
        None => (bus::FailureClass::Unspecified, None),
        Some(FailureClass::Transient) => (bus::FailureClass::Transient, None),
        Some(FailureClass::Throttled { retry_after }) => {
            (bus::FailureClass::Throttled, Some(duration(*retry_after)))
        }
        Some(FailureClass::Rejected) => (bus::FailureClass::Rejected, None),
        Some(FailureClass::Halted) => (bus::FailureClass::Halted, None),
    };
    (class.into(), retry_after)
}

pub(crate) fn read_class(
    class: i32,
    retry_after: Option<prost_types::Duration>,
    field: &'static str,
) -> Result<Option<FailureClass>, Error> {
    let known =
        bus::FailureClass::try_from(class).map_err(|_unknown| Error::Unknown { field, value: class })?;
    Ok(match known {
        bus::FailureClass::Unspecified => None,
        bus::FailureClass::Transient => Some(FailureClass::Transient),
        bus::FailureClass::Throttled => {
            Some(FailureClass::Throttled { retry_after: read_duration(retry_after, field)? })
        }
        bus::FailureClass::Rejected => Some(FailureClass::Rejected),
        bus::FailureClass::Halted => Some(FailureClass::Halted),
    })
}
