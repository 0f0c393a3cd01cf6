//! Keeps tests from taking the machine from each other.

use tokio::sync::{Semaphore, SemaphorePermit};

static INSTANCES: Semaphore = Semaphore::const_new(4);
static LOADS: Semaphore = Semaphore::const_new(1);

/// A place for one running instance; a few run at once.
pub(crate) async fn instance() -> SemaphorePermit<'static> {
    INSTANCES.acquire().await.expect("the semaphore is never closed")
}

/// A place for a test that loads the machine or measures time; one runs at once.
pub async fn load() -> SemaphorePermit<'static> {
    LOADS.acquire().await.expect("the semaphore is never closed")
}
