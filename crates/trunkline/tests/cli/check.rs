//! `check`: everything that is wrong, at once, with its place.

use crate::binary::Folder;

const SEVEN_MISTAKES: &str = r#"version: 1
gateway:
  lisen: 127.0.0.1:8080
sources:
  shop: { adapter: shopfy, settings: { secret: "${env:SHOP_SECRET}" } }
destinations:
  crm:
    adapter: http
    settings: { url: "https://crm.example.com/contacts" }
    timeout: 5 parsecs
subscriptions:
  dangling:
    match: { type: [commerce.order.created] }
    to: erp
  operator:
    match:
      type: [{ prefxi: "commerce." }]
    to: crm
  syntax:
    match: { type: [commerce.order.created] }
    transform: |
      { "order": .data.id "total": .data.total }
    to: crm
  path:
    match: { type: [commerce.order.created] }
    transform: |
      { "order": .data.id,
        "total": .data.grand_total }
    to: crm
"#;

#[test]
fn seven_mistakes_are_all_told_in_one_run() {
    let folder = Folder::new(SEVEN_MISTAKES);
    let found = folder.run(&["check", "--json"]);
    assert_eq!(found.code, 1, "{found:#?}");
    let lines = found.json();
    let (last, diagnostics) = lines.split_last().unwrap();
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic["severity"] == "error");
    let places: Vec<(u64, u64, &str, &str)> = errors
        .map(|error| {
            assert_eq!(error["file"], "trunkline.yaml");
            let number = |name: &str| error[name].as_u64().unwrap();
            let text = |name: &str| error[name].as_str().unwrap();
            (number("line"), number("column"), text("path"), text("code"))
        })
        .collect();
    let expected = [
        (3, 3, "gateway.lisen", "TL-C002"),
        (5, 20, "sources.shop.adapter", "TL-A001"),
        (10, 14, "destinations.crm.timeout", "TL-C003"),
        (14, 9, "subscriptions.dangling.to", "TL-R002"),
        (17, 16, "subscriptions.operator.match.type.0", "TL-R004"),
        (22, 27, "subscriptions.syntax.transform", "TL-R006"),
        (28, 18, "subscriptions.path.transform", "TL-R007"),
    ];
    assert_eq!(places, expected, "{}", found.stdout);
    assert_eq!(last["errors"], 7);
    assert_eq!(last["valid"], false);
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let text = Folder::new(SEVEN_MISTAKES).run(&["check"]).stdout;
    for expected in [
        "did you mean `listen`?",
        "did you mean `shopify`?",
        "there is no destination `erp`",
        "did you mean `prefix`?",
        "trunkline.yaml is not valid: 7 errors",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn mistakes_in_one_entry_hide_none_of_the_same_entry() {
    let folder = Folder::new(
        "version: 2\ndestinations:\n  crm: { adapter: htpp, concurrency: 0, timeout: never }\n  erp: { adapter: http, timeout: never, settings: { uri: x } }\n",
    );
    let found = folder.run(&["check", "--json"]).json();
    let paths: Vec<&str> = found.iter().filter_map(|line| line["path"].as_str()).collect();
    for expected in [
        "destinations.crm.adapter",
        "destinations.crm.timeout",
        "destinations.erp.timeout",
        "destinations.erp.settings.uri",
    ] {
        assert!(paths.contains(&expected), "{expected} is not in {paths:?}");
    }
}

#[test]
fn what_holds_is_said_and_an_unset_secret_is_a_warning() {
    let folder = Folder::new(
        "version: 1\nsources: { shop: { adapter: shopify, settings: { secret: \"${env:NO_SUCH_SECRET}\" } } }\n",
    );
    let found = folder.run(&["check"]).ok();
    assert!(found.stdout.contains("trunkline.yaml:2:58: warning[TL-C010]"), "{}", found.stdout);
    assert!(
        found.stdout.ends_with("trunkline.yaml is valid (0 errors, 1 warning): 1 source, 0 destinations\n")
    );
}

#[test]
fn others_can_only_reach_a_service_that_has_keys() {
    let folder = Folder::new(
        "version: 1\ngateway: { listen: \"0.0.0.0:8080\" }\nconsole: { listen: \"[::]:8090\" }\n",
    );
    let found = folder.run(&["check"]);
    assert_eq!(found.code, 1);
    for section in ["gateway", "console"] {
        assert!(found.stdout.contains(&format!("`{section}.keys` is empty")), "{}", found.stdout);
    }
}

#[test]
fn bodies_must_fit_records() {
    let found = Folder::new("version: 1\ngateway: { max_body: 8MiB }\n").run(&["check"]);
    assert_eq!(found.code, 1);
    assert!(found.stdout.contains("trunkline.yaml:2:22: error"), "{}", found.stdout);
    assert!(found.stdout.contains("channels.max_record"), "{}", found.stdout);
}

/// The samples a newcomer starts from.
#[test]
fn the_samples_hold() {
    let folder = Folder::new("");
    for sample in ["trunkline.yaml", "demo.yaml"] {
        let path = format!("{}/../../deploy/{sample}", env!("CARGO_MANIFEST_DIR"));
        let found = folder.run(&["check", "-c", &path]).ok();
        let warnings = found.stdout.lines().filter(|line| line.contains("warning["));
        let others: Vec<&str> = warnings.filter(|line| !line.contains("TL-C010")).collect();
        assert_eq!(others, [""; 0], "only secrets are left to set");
    }
}

#[test]
fn nothing_in_a_file_moves_the_terminal() {
    let folder = Folder::new("version: 1\n\"evil\\e[2J\": 1\n");
    let found = folder.run(&["check"]);
    assert!(found.stdout.contains("evil\\u{1b}[2J"), "{}", found.stdout);
}

/// Everything about a broker that can be wrong is wrong before it is asked.
#[test]
fn a_broker_is_judged_by_its_engine() {
    let check = |text: &str, places: &[&str]| {
        let found = Folder::new(&format!("version: 1\n{text}")).run(&["check"]);
        assert_eq!(found.code, i32::from(!places.is_empty()), "{found:#?}");
        for place in places {
            assert!(found.stdout.contains(place), "{place} is not in\n{}", found.stdout);
        }
    };
    check("broker: kafka://k1:9092,k2\nrouter: { exactly_once: true }", &[]);
    check("broker: { url: \"amqps://h\", ensure: verify }", &[]);
    check("router: { exactly_once: true }", &["2:25: error[TL-C003]: router.exactly_once", "leave it out"]);
    check("broker: amqp://h\nrouter: { exactly_once: true }", &["3:25: error[TL-C003]", "is RabbitMQ"]);
    check(
        "broker: { url: kafka://k1, proprties: {} }",
        &["2:28: error[TL-C002]", "did you mean `properties`?"],
    );
    check(
        "broker: { url: kafka://k1, properties: { lingr.ms: 5, compression.type: very } }",
        &["2:52: error[TL-C003]: broker.properties.lingr.ms", "2:73: error[TL-C003]"],
    );
    check("broker: amqp://h\nchannels: { max_record: 200MiB }", &["3:25: error[TL-C003]", "RabbitMQ takes"]);
    check("broker: kafka://k1\nchannels: { max_record: 2GiB }", &["3:25: error[TL-C003]", "Kafka's clients"]);
    check("broker: rabbit://h\nstore: redis:x", &["2:9: error[TL-C003]", "3:8: error[TL-C003]"]);
}

#[test]
fn a_certificate_that_is_not_here_is_a_warning_and_stops_a_start() {
    let folder = Folder::new("version: 1\nbroker: { url: kafka://127.0.0.1:1, tls: { ca: ca.pem } }\n");
    let found = folder.run(&["check"]).ok();
    assert!(found.stdout.contains("2:48: warning[TL-C011]: broker.tls.ca"), "{}", found.stdout);
    let started = folder.run(&["up", "--wait", "0s"]);
    assert_eq!(started.code, 3, "{started:#?}");
    folder.write("ca.pem", "-");
    let found = folder.run(&["check"]).ok();
    assert!(!found.stdout.contains("warning["), "relative to the configuration: {}", found.stdout);
}
