//! A PostgreSQL that goes away and comes back, and one that is reached by TLS.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use trunkline_store::{EventId, Store, StoreError};
use xtask::brokers::{Certificates, postgres};

use crate::at;

fn launched(case: &str) -> Option<postgres::Postgres> {
    (!xtask::brokers::skipped(case))
        .then(|| postgres::Postgres::launch(&postgres::Settings::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_is_found_again() {
    let Some(server) = launched("a_server_that_was_away_is_found_again") else { return };
    let store = Store::open(server.url()).await.unwrap();
    let id = EventId { source: "shop".to_owned(), id: "1".to_owned() };
    store.mark_seen(std::slice::from_ref(&id), at(0)).await.unwrap();
    store.set_cursor("shop", "1", at(0)).await.unwrap();

    server.kill();
    let error = store.seen(std::slice::from_ref(&id), at(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let _ = store.set_cursor("shop", "2", at(0)).await.unwrap_err();
    // Found out once, it costs the next callers nothing.
    let started = Instant::now();
    let mut failures = 0;
    while started.elapsed() < Duration::from_secs(1) && failures < 100 {
        let error = store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        failures += 1;
    }
    assert_eq!(failures, 100);

    server.start().unwrap();
    let started = Instant::now();
    while let Err(error) = store.ping().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.cursor("shop").await.unwrap().as_deref(), Some("1"));

    // A server that hangs costs a caller who can do without seconds, and the next ones nothing.
    server.pause();
    let started = Instant::now();
    for _ in 0..10 {
        let error = store.seen(std::slice::from_ref(&id), at(0)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    server.resume();

    // In good order, connections are told.
    server.restart().unwrap();
    let started = Instant::now();
    while let Err(error) = store.seen(std::slice::from_ref(&id), at(0)).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    store.set_cursor("shop", "3", at(1)).await.unwrap();
    assert_eq!(store.cursor("shop").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_verified_and_no_error_shows_a_password() {
    let Some(server) = launched("tls_is_verified_and_no_error_shows_a_password") else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::generate(folder.path()).unwrap();
    let mut admin = PgConnection::connect(server.url()).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut admin).await.unwrap();
    let data = Path::new(&data);
    // Written by the server, so that they are its own.
    for (source, name) in
        [(&certificates.server.certificate, "server.crt"), (&certificates.server.key, "server.key")]
    {
        let path = data.join(name);
        let text = std::fs::read(source).unwrap();
        let made = sqlx::query_scalar("SELECT lo_from_bytea(0, $1)").bind(text).fetch_one(&mut admin);
        let object: sqlx::postgres::types::Oid = made.await.unwrap();
        let export = sqlx::query("SELECT lo_export($1, $2)").bind(object).bind(path.to_str().unwrap());
        export.execute(&mut admin).await.unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let access = "hostssl all bus 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
    std::fs::write(data.join("pg_hba.conf"), access).unwrap();
    for statement in [
        "CREATE ROLE bus LOGIN PASSWORD 'canary'",
        "CREATE DATABASE bus OWNER bus",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let address = server.url().split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let url = |password: &str, ca: &Path| {
        format!("postgres://bus:{password}@{address}/bus?sslmode=verify-full&sslrootcert={}", ca.display())
    };
    let store = Store::open(&url("canary", &certificates.ca)).await.unwrap();
    store.set_cursor("shop", "1", at(0)).await.unwrap();
    let plain = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'bus' AND NOT ssl";
    assert_eq!(sqlx::query_scalar::<_, i64>(plain).fetch_one(&mut admin).await.unwrap(), 0);
    assert!(!format!("{store:?}").contains("canary"));

    let foreign = Store::open(&url("canary", &certificates.foreign_ca)).await.unwrap_err();
    let refused = Store::open(&url("canary-of-old", &certificates.ca)).await.unwrap_err();
    let without =
        Store::open(&format!("postgres://bus:canary@{address}/bus?sslmode=disable")).await.unwrap_err();
    for error in [foreign, refused, without] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}
