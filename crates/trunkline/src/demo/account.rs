//! The account as the console gives it, waited for until nothing is under way.

use std::time::Duration;

use serde_json::Value;

use super::stage::Stage;

const SETTLED_WITHIN: Duration = Duration::from_secs(40);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What became of everything that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Account(Value);

impl Account {
    /// Asks until `events` are accepted, nothing waits or is under way and the account balances; the last one there was when
    /// that takes too long.
    pub(super) async fn settled(stage: &Stage, events: u64) -> anyhow::Result<Self> {
        let api = stage.api();
        let until = tokio::time::Instant::now() + SETTLED_WITHIN;
        loop {
            let account = Self(api.get("/api/v1/account", &[]).await?);
            if account.is_settled(events) || tokio::time::Instant::now() >= until {
                return Ok(account);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Whether so many events are accepted, nothing waits or is under way, and it balances.
    pub(super) fn is_settled(&self, events: u64) -> bool {
        let waiting = self.events("waiting") + self.deliveries("in_flight");
        waiting == 0 && self.events("accepted") >= events && self.is_balanced()
    }

    pub(super) fn is_balanced(&self) -> bool {
        self.0["balanced"] == true
    }

    /// Why it does not balance.
    pub(super) fn imbalance(&self) -> String {
        crate::output::cell(&self.0["imbalance"])
    }

    pub(super) fn events(&self, name: &str) -> u64 {
        self.0["events"][name].as_u64().unwrap_or_default()
    }

    pub(super) fn deliveries(&self, name: &str) -> u64 {
        self.0["deliveries"][name].as_u64().unwrap_or_default()
    }
}
