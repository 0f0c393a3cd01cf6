//! Opening, locking, migrating.

use trunkline_store::{Store, StoreError};

use crate::{Fixture, url};

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_has_it() {
    let fixture = Fixture::new().await;
    let error = Store::open(&url(&fixture.folder)).await.unwrap_err();
    let own = std::process::id();
    assert!(matches!(&error, StoreError::InUse { pid, .. } if *pid == Some(own)), "{error:?}");
    assert!(error.to_string().contains(&format!("process {own}")));
    // A refused open harms neither the lock nor what it says.
    assert!(matches!(Store::open(&url(&fixture.folder)).await, Err(StoreError::InUse { pid: Some(_), .. })));
    fixture.reopened().await.store.ping().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_remedy_and_left_alone() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    drop(fixture.store);
    let path = fixture.folder.path().join("data/store.db");
    let pool = sqlx::SqlitePool::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let error = Store::open(&url(&fixture.folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9000, known: 1 }), "{error:?}");
    assert!(error.to_string().contains("run the newer version"));
}

#[tokio::test]
async fn an_empty_file_is_a_store_of_version_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/store.db"), b"").unwrap();
    Store::open(&url(&folder)).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/store.db"), [7; 4096]).unwrap();
    let error = Store::open(&url(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn addresses_of_other_kinds_are_refused_without_showing_a_password() {
    let error = Store::open("postgres://bus:secret@db/bus").await.unwrap_err();
    assert_eq!(error.to_string(), "PostgreSQL support is not in this version");
    for wrong in ["mysql://bus:secret@db/bus", "store.db", "sqlite:"] {
        let error = Store::open(wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::Address(_)), "{wrong}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn memory_needs_no_lock() {
    let (one, two) =
        (Store::open("sqlite::memory:").await.unwrap(), Store::open("sqlite::memory:").await.unwrap());
    one.set_cursor("crm", "1", crate::at(0)).await.unwrap();
    assert_eq!(one.cursor("crm").await.unwrap().as_deref(), Some("1"));
    assert_eq!(two.cursor("crm").await.unwrap(), None);
}

#[tokio::test]
async fn cursors_and_audit_are_there_after_opening_again() {
    let fixture = Fixture::new().await;
    for value in ["1", "2"] {
        fixture.store.set_cursor("crm", value, crate::at(0)).await.unwrap();
    }
    for number in 0..5 {
        let entry = trunkline_store::AuditEntry {
            time: crate::at(number),
            who: "local".to_owned(),
            action: "pause".to_owned(),
            target: "crm'; DROP TABLE audit; --".to_owned(),
            detail: serde_json::json!({ "number": number }),
        };
        fixture.store.audit(&entry).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.cursor("crm").await.unwrap().as_deref(), Some("2"));
    let mut page = trunkline_store::Page::first(2);
    let mut numbers = Vec::new();
    loop {
        let (entries, next) = fixture.store.list_audit(&page).await.unwrap();
        numbers.extend(entries.iter().map(|entry| entry.detail["number"].as_i64().unwrap()));
        let Some(next) = next else { break };
        page.after = Some(next);
    }
    assert_eq!(numbers, [4, 3, 2, 1, 0]);
}
