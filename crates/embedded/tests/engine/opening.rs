//! One process, one directory.

use std::process::{Command, Stdio};

use trunkline_broker::{Broker, Keep, PublishFailure};
use trunkline_embedded::{EmbeddedBroker, OpenError};

use crate::scene::{open, options, record, try_publish};

const DIRECTORY: &str = "TRUNKLINE_TEST_OPEN";

#[tokio::test]
async fn a_second_opening_names_the_first() {
    let place = tempfile::tempdir().unwrap();
    let broker = open(place.path(), options(), Keep::UntilSettled).await;
    let refused = EmbeddedBroker::open(place.path(), options());
    let Err(error @ OpenError::InUse { pid, .. }) = refused else { panic!("opened twice: {refused:?}") };
    assert_eq!(pid, std::process::id());
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");

    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::from_another_process", "--ignored", "--nocapture"])
        .env(DIRECTORY, place.path())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("in use by process {}", std::process::id())), "{said}");

    broker.close();
    EmbeddedBroker::open(place.path(), options()).expect("it was closed").close();
}

#[test]
#[ignore = "started by another test"]
fn from_another_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    println!("{}", EmbeddedBroker::open(directory.as_ref(), options()).expect_err("the first still has it"));
}

#[tokio::test]
async fn handles_of_a_closed_directory_answer_with_errors() {
    let place = tempfile::tempdir().unwrap();
    let broker = open(place.path(), options(), Keep::UntilSettled).await;
    let clone = broker.clone();
    broker.close();
    let refused = try_publish(&clone, record(1, 10)).await;
    assert!(matches!(refused, Err(PublishFailure::Unavailable(_))), "{refused:?}");
    assert!(clone.ensure(&[], trunkline_broker::Ensure::Verify).await.is_err());
}
