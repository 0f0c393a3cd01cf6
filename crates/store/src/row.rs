//! Values as columns hold them, and back.

use chrono::{DateTime, Utc};

use crate::dialect::Row;
use crate::error::StoreError;
use crate::words::Word;

/// Microseconds since 1970; a time of finer resolution is cut.
pub(crate) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// Counts are far below `i64::MAX`; one that is not is a lie anyway.
pub(crate) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn from_micros(micros: i64, column: &str) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| StoreError::damaged(format!("column {column}")))
}

pub(crate) fn time(row: &Row, column: &str) -> Result<DateTime<Utc>, StoreError> {
    from_micros(row.get(column)?, column)
}

pub(crate) fn optional_time(row: &Row, column: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    row.get::<Option<i64>>(column)?.map(|micros| from_micros(micros, column)).transpose()
}

pub(crate) fn word<T: Word>(row: &Row, column: &str) -> Result<T, StoreError> {
    T::parse(row.get(column)?).ok_or_else(|| StoreError::damaged(format!("column {column}")))
}

pub(crate) fn optional_word<T: Word>(row: &Row, column: &str) -> Result<Option<T>, StoreError> {
    let Some(text) = row.get::<Option<&str>>(column)? else { return Ok(None) };
    T::parse(text).map(Some).ok_or_else(|| StoreError::damaged(format!("column {column}")))
}

/// A number that was stored from an unsigned one.
pub(crate) fn unsigned<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<T, StoreError> {
    T::try_from(row.get(column)?).map_err(|_| StoreError::damaged(format!("column {column}")))
}

pub(crate) fn optional_unsigned<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<Option<T>, StoreError> {
    let number = row.get::<Option<i64>>(column)?;
    number.map(T::try_from).transpose().map_err(|_| StoreError::damaged(format!("column {column}")))
}
