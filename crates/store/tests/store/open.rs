//! Opening, locking, migrating.

use trunkline_store::{AuditEntry, Page, Store, StoreError};

use crate::fixture::{Database, Schema};
use crate::{Fixture, at};

on_each_database! {
    a_newer_schema_is_refused_with_the_remedy_and_left_alone,
    cursors_and_audit_are_there_after_opening_again,
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_has_it_and_what_to_do() {
    let fixture = Fixture::sqlite().await;
    let url = fixture.database.url();
    let error = Store::open(&url).await.unwrap_err();
    let own = std::process::id();
    assert!(matches!(&error, StoreError::InUse { pid, .. } if *pid == Some(own)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(&format!("process {own}")) && message.contains("postgres://"), "{message}");
    // A refused open harms neither the lock nor what it says.
    assert!(matches!(Store::open(&url).await, Err(StoreError::InUse { pid: Some(_), .. })));
    fixture.reopened().await.store.ping().await.unwrap();
}

async fn a_newer_schema_is_refused_with_the_remedy_and_left_alone(fixture: Fixture) {
    let Fixture { store, database } = fixture;
    store.close().await;
    drop(store);
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 9000, 'from the future', TRUE, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    let error = Store::open(&database.url()).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9000, known: 2 }), "{error:?}");
    assert!(error.to_string().contains("run the newer version"));
    // What the newer version made is as it was, and nothing stays locked.
    database.execute("DELETE FROM _sqlx_migrations WHERE version = 9000").await;
    Store::open(&database.url()).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn many_starters_at_once_make_one_schema() {
    let Some(schema) = Schema::new("many_starters_at_once_make_one_schema").await else { return };
    let database = Database::Postgres(schema);
    let starts: Vec<_> = (0..8)
        .map(|starter| {
            let url = database.url();
            tokio::spawn(async move {
                let store = Store::open(&url).await.unwrap();
                store.set_cursor(&format!("source-{starter}"), "1", at(0)).await.unwrap();
                store
            })
        })
        .collect();
    for start in starts {
        let store = start.await.unwrap();
        assert_eq!(store.states_revision().await.unwrap(), 0);
        store.close().await;
    }
}

#[tokio::test]
async fn an_empty_file_is_a_store_of_version_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, b"").unwrap();
    Store::open(&format!("sqlite:{}", path.display())).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, [7; 4096]).unwrap();
    let error = Store::open(&format!("sqlite:{}", path.display())).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_showing_a_password() {
    for wrong in [
        "mysql://bus:secret@db/bus",
        "postgres://bus:secret@db:port/bus",
        "postgres://bus:secret@db/bus?sslmode=always",
        "postgres://bus:sec?ret@db/secret",
        "bus:secret@db",
        "store.db",
        "sqlite:",
    ] {
        let error = Store::open(wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::Address { .. } | StoreError::Parameter(_)), "{wrong}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("sec"), "{wrong}: {error:?}");
    }
    let error = Store::open("postgres://bus@db/bus?sslmode=require&passwd=secret").await.unwrap_err();
    assert_eq!(error.to_string(), "`passwd` is no parameter of a PostgreSQL address");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // Port 1 is nobody's.
    let error = Store::open("postgres://bus:secret@127.0.0.1:1/bus").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn memory_needs_no_lock() {
    let (one, two) =
        (Store::open("sqlite::memory:").await.unwrap(), Store::open("sqlite::memory:").await.unwrap());
    one.set_cursor("crm", "1", at(0)).await.unwrap();
    assert_eq!(one.cursor("crm").await.unwrap().as_deref(), Some("1"));
    assert_eq!(two.cursor("crm").await.unwrap(), None);
}

async fn cursors_and_audit_are_there_after_opening_again(fixture: Fixture) {
    for value in ["1", "2"] {
        fixture.store.set_cursor("crm", value, at(0)).await.unwrap();
    }
    for number in 0..5 {
        let entry = AuditEntry {
            time: at(number),
            who: "local".to_owned(),
            action: "pause".to_owned(),
            target: "crm'; DROP TABLE audit; --".to_owned(),
            detail: serde_json::json!({ "number": number, "nul": "\0" }),
        };
        fixture.store.audit(&entry).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.cursor("crm").await.unwrap().as_deref(), Some("2"));
    let mut page = Page::first(2);
    let mut numbers = Vec::new();
    loop {
        let (entries, next) = fixture.store.list_audit(&page).await.unwrap();
        numbers.extend(entries.iter().map(|entry| entry.detail["number"].as_i64().unwrap()));
        let Some(next) = next else { break };
        page.after = Some(next);
    }
    assert_eq!(numbers, [4, 3, 2, 1, 0]);
}
