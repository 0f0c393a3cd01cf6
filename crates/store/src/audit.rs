//! Who did what, when, to what: every operator's action.

use chrono::{DateTime, Utc};

use crate::dialect::{Durability, Statement};
use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::store::Store;

/// One action of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub time: DateTime<Utc>,
    /// The name of the key used, or `local`.
    pub who: String,
    /// What was done, for example `pause`.
    pub action: String,
    /// To what, for example a destination's name.
    pub target: String,
    /// The action's details; no secrets.
    pub detail: serde_json::Value,
}

impl Store {
    /// Notes an action.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the action is not noted and should not be done.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        Statement::new("INSERT INTO audit (time, who, action, target, detail) VALUES ($1, $2, $3, $4, $5)")
            .bind(row::micros(entry.time))
            .bind(&entry.who)
            .bind(&entry.action)
            .bind(&entry.target)
            .bind(entry.detail.to_string())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await
    }

    /// The actions noted, latest note first, with the cursor of the next page where there is one.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list.
    pub async fn list_audit(&self, page: &Page) -> Result<(Vec<AuditEntry>, Option<String>), StoreError> {
        let mut query = Statement::new("SELECT sequence, time, who, action, target, detail FROM audit");
        if let Some((sequence, _)) = page.start()? {
            query.push(" WHERE sequence < ").push_bind(sequence);
        }
        query.push(" ORDER BY sequence DESC LIMIT ").push_bind(page.fetch());
        let rows = query.all(&self.connections).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let detail = serde_json::from_str(row.get("detail")?).map_err(|error| StoreError::Damaged {
                what: "column detail".to_owned(),
                source: Some(Box::new(error)),
            })?;
            let entry = AuditEntry {
                time: row::time(row, "time")?,
                who: row.get("who")?,
                action: row.get("action")?,
                target: row.get("target")?,
                detail,
            };
            entries.push((row.get("sequence")?, entry));
        }
        let next = page.cut(&mut entries, |(sequence, _)| (*sequence, String::new()));
        Ok((entries.into_iter().map(|(_, entry)| entry).collect(), next))
    }
}
