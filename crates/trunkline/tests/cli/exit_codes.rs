//! Exit codes, and what is said with them.

use crate::binary::{Finished, Folder, addresses, configuration};

#[track_caller]
fn check(finished: &Finished, code: i32, said: &str) {
    assert_eq!(finished.code, code, "{finished:#?}");
    assert!(finished.stderr.contains(said), "{said} is not in\n{}", finished.stderr);
}

#[test]
fn wrong_usage_is_2() {
    let folder = Folder::new("version: 1\n");
    check(&folder.run(&["frobnicate"]), 2, "unrecognized subcommand");
    check(&folder.run(&["try"]), 2, "EVENT");
    check(&folder.run(&["run", "gateways"]), 2, "gateway");
    check(&folder.run(&["run", "router", "--only", "crm"]), 2, "`--only` is for the dispatcher");
    check(&folder.run(&["run", "router", "--listen", "127.0.0.1:1"]), 2, "gateway and the console");
    check(&folder.run(&["try", "nowhere.json"]), 2, "nowhere.json can't be read");
    folder.write("event.json", "{\"id\":1}");
    check(&folder.run(&["try", "event.json"]), 2, "is no CloudEvent");
    folder.write("event.json", "id: 1");
    check(&folder.run(&["publish", "event.json"]), 2, "neither a CloudEvent in JSON nor a list");
    check(&folder.run(&["dlq", "replay"]), 2, "name dead letters by their ids, or by a filter");
    check(&folder.run(&["dlq", "discard", "--reason", "x"]), 2, "name dead letters");
    let logs = super::binary::finished(folder.command(&["up"]).env("TRUNKLINE_LOG_FORMAT", "xml"));
    check(&logs, 2, "`xml` is no log format");
}

#[test]
fn a_start_with_an_invalid_configuration_is_3() {
    let folder = Folder::new("version: 1\ngatway: {}\nrouter: { admin: nowhere }\n");
    let started = folder.run(&["up"]);
    check(&started, 3, "trunkline.yaml:2:1: error[TL-C002]");
    check(&started, 3, "trunkline.yaml:3:18: error[");
    check(&folder.run(&["up", "-c", "nowhere.yaml"]), 3, "name the configuration's file or folder with -c");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_start_with_a_secret_that_is_not_set_is_3() {
    let (text, _admin) = configuration(
        "sources: { shop: { adapter: shopify, settings: { secret: \"${env:NO_SUCH_SECRET}\" } } }",
    );
    check(&Folder::new(&text).run(&["up"]), 3, "environment variable `NO_SUCH_SECRET` is not set");
}

#[test]
fn one_service_alone_does_not_run_on_what_one_process_holds() {
    let folder = Folder::new("version: 1\n");
    let started = folder.run(&["run", "router"]);
    check(&started, 3, "the embedded engine lives inside one process");
    check(&started, 3, "a SQLite store is locked by one process");
    check(&started, 3, "run all services in one process with `trunkline up`");
}

#[test]
fn an_address_that_is_taken_is_4() {
    let (text, _admin) = configuration("");
    let [taken] = addresses();
    let _listener = std::net::TcpListener::bind(taken).unwrap();
    let gateway = text.lines().find(|line| line.starts_with("gateway")).unwrap();
    let folder = Folder::new(&text.replace(gateway, &format!("gateway: {{ listen: {taken} }}")));
    let started = folder.run(&["up"]);
    check(&started, 4, &format!("the gateway's address {taken} (gateway.listen) can't be had"));
    check(&started, 4, "Address already in use");

    let (text, admin) = configuration("");
    let _listener = std::net::TcpListener::bind(admin).unwrap();
    check(&Folder::new(&text).run(&["up"]), 4, &format!("the admin address {admin} can't be had"));
}

#[test]
fn a_second_process_on_the_same_data_is_4_and_names_the_first() {
    let (text, admin) = configuration("");
    let folder = Folder::new(&text);
    let first = folder.up(admin);
    check(&folder.run(&["up"]), 4, &format!("is in use by process {}", first.id()));
    assert_eq!(first.terminate(), 0);
}

#[test]
fn a_service_that_does_not_answer_is_4() {
    let (text, _admin) = configuration("");
    let folder = Folder::new(&text);
    check(&folder.run(&["destinations"]), 4, "does not answer; is it running?");
    folder.write("event.json", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}");
    check(&folder.run(&["publish", "event.json"]), 4, "the gateway at http://127.0.0.1:");
}

#[test]
fn a_broker_that_does_not_come_is_4_after_the_wait() {
    let [nobody, admin] = addresses();
    // One try of Kafka's client takes seconds.
    for (broker, tries) in [(format!("kafka://{nobody}"), false), (format!("amqp://{nobody}"), true)] {
        let text = format!(
            "version: 1\nbroker: {broker}\nrouter: {{ admin: {admin} }}\nstore: postgres://{nobody}/x\n"
        );
        let began = std::time::Instant::now();
        let started = Folder::new(&text).run(&["run", "router", "--wait", "1s"]);
        check(&started, 4, "the broker can't be had");
        if tries {
            check(&started, 4, "the broker can't be had yet; trying until it can");
        }
        assert!(began.elapsed() >= std::time::Duration::from_secs(1));
    }
}
