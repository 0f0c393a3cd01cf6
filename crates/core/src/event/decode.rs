//! Decoding an envelope without copying its data.

use bytes::Bytes;

use super::{DecodeError, Envelope};

pub(super) fn envelope(encoded: Bytes) -> Result<Envelope, DecodeError> {
    todo!("{encoded:?}")
}
