//! Settling what was taken in, together with its consequence.

use async_trait::async_trait;

use crate::error::HandOverError;
use crate::record::{Outgoing, Receipt};

/// Settles records of one intake.
#[async_trait]
pub trait Settler: Send + Sync {
    /// Publishes `outputs` and settles `inputs`: nothing is settled before its consequence is stored.
    ///
    /// May be called concurrently, and during [`crate::Intake::next`]. Inputs may be settled in any order; what an
    /// engine commits is always the contiguous settled prefix of each partition. Inputs of a lost lease are ignored
    /// (their records are another consumer's now), the outputs are published all the same unless the engine is atomic.
    /// Atomic where [`crate::Capabilities::atomic_hand_over`] says so and the inputs extend each partition's settled
    /// prefix; elsewhere outputs are confirmed first: duplicates are possible after a crash, loss is not.
    ///
    /// With no outputs it settles; with no inputs it publishes.
    ///
    /// # Errors
    /// [`HandOverError::Refused`] names outputs that can never be stored (too large, unknown channel), by index; nothing was
    /// published and the inputs come back unsettled. [`HandOverError::Unavailable`] gives the inputs back likewise, for another try,
    /// with those outputs only that it does not name as stored.
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError>;
}
