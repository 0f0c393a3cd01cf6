//! Whether the broker and the store of a configuration fit what is to be run.

use trunkline_core::config::{Diagnostic, Diagnostics, Node, Severity, codes};
use trunkline_router::RouterSettings;
use trunkline_sdk::config::{EngineKind, Shared, code, secret_reference};
use trunkline_sdk::service::judge_property;

use super::Purpose;

/// The largest record that Kafka's client library can be set to, in bytes.
const KAFKA_MOST: usize = 1_000_000_000;
/// What RabbitMQ takes up to version 3.12 and from 4.0 on, unless its `max_message_size` is set otherwise, in bytes.
const RABBITMQ_MOST: usize = 128 << 20;
const RABBITMQ_4_MOST: usize = 16 << 20;

/// One service alone can't have what lives inside one process, and what an engine can't do can't be asked of it.
pub(super) fn judge(
    shared: &Shared,
    router: Option<&RouterSettings>,
    purpose: Purpose,
    diagnostics: &mut Diagnostics,
) {
    // An address behind a reference that can't be read here is judged when it is opened.
    let engine = shared.broker.engine(&shared.folder);
    let store = judge_store(shared, diagnostics);
    judge_tls(shared, purpose, diagnostics);
    judge_properties(shared, diagnostics);
    if let Some(engine) = engine {
        judge_sizes(shared, engine, diagnostics);
        if router.is_some_and(|router| router.exactly_once) {
            judge_exactly_once(shared, engine, diagnostics);
        }
    }
    let Purpose::Run(service) = purpose else { return };
    let service = service.name();
    let mut refuse = |section: &str, message: String, hint: &str| {
        let node = shared.section_node(section).unwrap_or(&shared.root);
        diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint.to_owned())));
    };
    if engine == Some(EngineKind::Embedded) {
        let message =
            format!("the embedded engine lives inside one process, so `run {service}` can't share it");
        let hint =
            "run all services in one process with `trunkline up`, or name a kafka:// or amqp:// broker";
        refuse("broker", message, hint);
    }
    if store == Some("sqlite") {
        let message = format!("a SQLite store is locked by one process, so `run {service}` can't share it");
        let hint = "run all services in one process with `trunkline up`, or name a postgres:// store";
        refuse("store", message, hint);
    }
}

/// What kind of store is named, as far as it is known here.
fn judge_store<'a>(shared: &'a Shared, diagnostics: &mut Diagnostics) -> Option<&'a str> {
    if secret_reference(&shared.store).is_some() {
        return None;
    }
    match shared.store.split(':').next().unwrap_or_default() {
        "sqlite" => Some("sqlite"),
        "postgres" | "postgresql" => Some("postgres"),
        other => {
            let message = format!("`store` begins with `{}`, which is no store", other.escape_debug());
            let node = shared.section_node("store").unwrap_or(&shared.root);
            let hint = "write sqlite:FILE or postgres://HOST/NAME".to_owned();
            diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint)));
            None
        }
    }
}

/// Files that can't be read: as with secrets, they may be there where the services run.
fn judge_tls(shared: &Shared, purpose: Purpose, diagnostics: &mut Diagnostics) {
    let Some(tls) = shared.section_node("broker").and_then(|node| node.get("tls")) else { return };
    let severity = if purpose == Purpose::Look { Severity::Warning } else { Severity::Error };
    for (key, file) in shared.broker.tls_files() {
        if let Err(error) = std::fs::File::open(shared.folder.join(file)) {
            let node = tls.get(key).unwrap_or(tls);
            let hint = "name a file in PEM; relative ones start at the configuration's folder".to_owned();
            let message = format!("`{file}` can't be read: {error}");
            diagnostics.push(Diagnostic { severity, ..node.error(code::UNREADABLE, message, Some(hint)) });
        }
    }
}

/// Properties that Kafka's client library does not know, or not with that value.
fn judge_properties(shared: &Shared, diagnostics: &mut Diagnostics) {
    let Some(node) = shared.section_node("broker").and_then(|node| node.get("properties")) else { return };
    let secrets = shared.secrets();
    for (name, value) in &shared.broker.properties {
        // One that is not set here is told as such.
        let Ok(text) = value.read(&secrets) else { continue };
        if let Some(why) = judge_property(name, &text) {
            // Its words may repeat the value.
            let hint = value.reference().is_none().then_some(why);
            let message = format!("Kafka's client library can't use the property `{name}`");
            let node = node.get(name).unwrap_or(node);
            diagnostics.push(node.error(codes::WRONG_VALUE, message, hint));
        }
    }
}

fn judge_sizes(shared: &Shared, engine: EngineKind, diagnostics: &mut Diagnostics) {
    let max_record = shared.channels.max_record;
    let channels = shared.section_node("channels").unwrap_or(&shared.root);
    let node: &Node = channels.get("max_record").unwrap_or(channels);
    let error = |message: String, hint: &str| node.error(codes::WRONG_VALUE, message, Some(hint.to_owned()));
    match engine {
        EngineKind::Kafka if max_record > KAFKA_MOST => {
            let message = format!("Kafka's clients take records of at most {KAFKA_MOST} bytes");
            diagnostics.push(error(message, "lower `channels.max_record`"));
        }
        EngineKind::RabbitMq if max_record > RABBITMQ_MOST => {
            let message = format!("RabbitMQ takes records of at most {RABBITMQ_MOST} bytes");
            diagnostics.push(error(message, "lower `channels.max_record`"));
        }
        EngineKind::RabbitMq if max_record > RABBITMQ_4_MOST => {
            let message = format!(
                "RabbitMQ 4 takes records of at most {RABBITMQ_4_MOST} bytes unless it is told otherwise"
            );
            let found =
                error(message, "lower `channels.max_record`, or raise `max_message_size` of the broker");
            diagnostics.push(Diagnostic { severity: Severity::Warning, ..found });
        }
        _ => {}
    }
}

fn judge_exactly_once(shared: &Shared, engine: EngineKind, diagnostics: &mut Diagnostics) {
    let hint = match engine {
        EngineKind::Kafka => return,
        EngineKind::Embedded => {
            "leave it out: on the embedded engine every hand-over is a transaction anyway"
        }
        EngineKind::RabbitMq => {
            "leave it out: RabbitMQ has no such transactions; an event's id lets receivers know a second copy"
        }
    };
    let router = shared.section_node("router").unwrap_or(&shared.root);
    let node = router.get("exactly_once").unwrap_or(router);
    let message = format!("`exactly_once` needs Kafka, but `broker` is {engine}");
    diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint.to_owned())));
}
