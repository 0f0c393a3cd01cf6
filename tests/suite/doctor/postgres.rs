//! A database that a newer version wrote, and one that the user may not use.

use std::process::Command;

use trunkline_tests::ground::Engine;
use trunkline_tests::{Fleet, Ground, Setup};

use super::Told;

fn psql(url: &str, sql: &str) {
    let output = Command::new("psql").args([url, "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_and_tables_without_rights() {
    let case = "a_newer_schema_and_tables_without_rights";
    let Some(ground) = Ground::new(Engine::Kafka, case).await else { return };
    let (store, name) = (ground.store.clone(), ground.prefix.trim_matches('.').to_owned());
    let mut fleet = Fleet::new(ground, Setup::new("")).await;
    fleet.launch("console", "console", &[]);
    fleet.ready("console").await;
    fleet.retire("console").await;

    // Somebody who may connect and no more.
    psql(&store, &format!("CREATE ROLE {name} LOGIN; GRANT SELECT ON _sqlx_migrations TO {name}"));
    let file = fleet.folder().join("trunkline.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let other = store.replacen("postgres@", &format!("{name}@"), 1);
    assert_ne!(store, other);
    std::fs::write(&file, text.replace(&store, &other)).unwrap();
    let told = Told::of(fleet.folder(), &[], &[], 1).await;
    told.has("TL-D003", "3 store", "may not read and write the tables", "GRANT SELECT, INSERT");
    told.counts(1);
    psql(&store, &format!("DROP OWNED BY {name}; DROP ROLE {name}"));

    std::fs::write(&file, &text).unwrap();
    Told::of(fleet.folder(), &[], &[], 0).await.counts(0);
    psql(
        &store,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, '', 0)",
    );
    let told = Told::of(fleet.folder(), &[], &[], 1).await;
    told.has("TL-D005", "3 store", "the store has schema 9999", "run the newer version");
    told.counts(1);
}
