//! Whether what stands under `broker` fits its engine.

use std::path::Path;

use trunkline_core::config::{Diagnostics, Node, codes};

use super::address::{EngineKind, judge_amqp, kafka_servers};
use super::{BrokerSettings, Property};

/// Properties that Trunkline's guarantees rest on, or that have a key of their own.
const OURS: [(&str, &str); 21] = [
    ("bootstrap.servers", "name the servers in `broker.url`"),
    ("metadata.broker.list", "name the servers in `broker.url`"),
    ("group.id", "groups are named after the services; `channels.prefix` stands before the names"),
    ("group.instance.id", "set TRUNKLINE_INSTANCE"),
    ("group.protocol", GUARANTEE),
    ("partition.assignment.strategy", GUARANTEE),
    ("client.id", "set TRUNKLINE_INSTANCE"),
    ("transactional.id", "set TRUNKLINE_INSTANCE and `router.exactly_once`"),
    ("enable.idempotence", GUARANTEE),
    ("acks", GUARANTEE),
    ("request.required.acks", GUARANTEE),
    ("partitioner", GUARANTEE),
    ("isolation.level", GUARANTEE),
    ("enable.auto.commit", GUARANTEE),
    ("auto.commit.enable", GUARANTEE),
    ("enable.auto.offset.store", GUARANTEE),
    ("auto.offset.reset", GUARANTEE),
    ("enable.partition.eof", GUARANTEE),
    ("delivery.report.only.error", GUARANTEE),
    ("allow.auto.create.topics", "channels are made by `broker.ensure: create`"),
    ("message.max.bytes", "set `channels.max_record`"),
];
const GUARANTEE: &str = "leave it out: that nothing is lost rests on what Trunkline sets it to";

/// Properties whose values are secrets.
const SECRET: [&str; 6] = [
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
];

/// Properties that `broker.tls` stands for.
const TLS: [(&str, &str); 3] =
    [("ca", "ssl.ca.location"), ("certificate", "ssl.certificate.location"), ("key", "ssl.key.location")];

/// Whether the settings hold; says what does not.
pub(super) fn judge(
    settings: &BrokerSettings,
    node: &Node,
    folder: &Path,
    diagnostics: &mut Diagnostics,
) -> bool {
    let mut found = Diagnostics::new();
    let judge = Judge { settings, node, found: &mut found };
    // A reference that can't be read is reported as an unset secret elsewhere.
    let address = settings.address(folder).ok();
    judge.all(address.as_deref());
    let holds = !found.has_errors();
    diagnostics.extend(found.into_sorted());
    holds
}

struct Judge<'a> {
    settings: &'a BrokerSettings,
    node: &'a Node,
    found: &'a mut Diagnostics,
}

impl Judge<'_> {
    fn all(mut self, address: Option<&str>) {
        self.tls();
        self.properties();
        if self.settings.replication == Some(0) {
            self.wrong("replication", "must be at least 1", None);
        }
        let Some(address) = address else { return };
        match EngineKind::of(address) {
            Err(other) => {
                let message = format!("`broker` begins with `{}`, which is no engine", other.escape_debug());
                self.wrong(
                    "url",
                    &message,
                    Some("write embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST"),
                );
            }
            Ok(EngineKind::Embedded) => {
                for key in ["ensure", "replication", "properties", "tls", "management"] {
                    self.misplaced(key, "the embedded engine needs no more than its address");
                }
            }
            Ok(EngineKind::Kafka) => {
                self.misplaced("management", "it is for RabbitMQ's management plugin");
                if let Err(why) = kafka_servers(address) {
                    self.wrong("url", why, None);
                }
            }
            Ok(EngineKind::RabbitMq) => self.rabbitmq(address),
        }
    }

    fn rabbitmq(&mut self, address: &str) {
        if let Err(why) = judge_amqp(address) {
            self.wrong("url", why, None);
        }
        self.misplaced("replication", "RabbitMQ's quorum queues have a member on each of up to three nodes; a policy of the broker changes that");
        let management = self.settings.management.as_deref().unwrap_or("http://");
        if !(management.starts_with("http://") || management.starts_with("https://"))
            || management.contains('@')
        {
            self.wrong("management", "must be http://HOST:PORT or https://HOST:PORT, without a user", None);
        }
        self.misplaced("properties", "they are for Kafka's client library");
        if address.starts_with("amqp:") {
            self.misplaced("tls", "the address begins with amqp://, which is not encrypted: write amqps://");
        }
    }

    fn tls(&mut self) {
        let Some(tls) = &self.settings.tls else { return };
        let pair = match (&tls.certificate, &tls.key) {
            (Some(_), None) => Some(("certificate", "a certificate needs its `key`")),
            (None, Some(_)) => Some(("key", "a key needs its `certificate`")),
            _ => None,
        };
        if let Some((key, message)) = pair {
            let at = self.at("tls").get(key).unwrap_or(self.at("tls")).clone();
            self.found.push(at.error(codes::MISSING_KEY, message, None));
        }
    }

    fn properties(&mut self) {
        for (name, value) in &self.settings.properties {
            let at = self.at("properties").get(name).unwrap_or(self.node).clone();
            if let Some((_, instead)) = OURS.iter().find(|(ours, _)| ours == name) {
                let message = format!("`{name}` is set by Trunkline");
                self.found.push(at.error(codes::WRONG_VALUE, message, Some((*instead).to_owned())));
            }
            if SECRET.contains(&name.as_str()) && matches!(value, Property::Text(_)) {
                let message =
                    "a secret must be a reference: ${env:NAME} or ${file:PATH}, never the value itself";
                self.found.push(at.error(codes::BAD_SECRET, message, None));
            }
            let twice = TLS.iter().find(|(_, property)| property == name);
            if let Some((key, _)) =
                twice.filter(|(key, _)| self.settings.tls_files().any(|(named, _)| named == *key))
            {
                let message = format!("`{name}` is `broker.tls.{key}`, which stands here too");
                self.found.push(at.error(
                    codes::DUPLICATE,
                    message,
                    Some("leave one of them out".to_owned()),
                ));
            }
        }
    }

    /// An error about `key` of the map, or about the address where that is all there is.
    fn wrong(&mut self, key: &str, message: &str, hint: Option<&str>) {
        let error = self.at(key).error(codes::WRONG_VALUE, message, hint.map(str::to_owned));
        self.found.push(error);
    }

    /// An error about a key that is there but not for this engine.
    fn misplaced(&mut self, key: &str, why: &str) {
        let Some((name, _)) = self.node.entries().find(|(name, _)| &*name.name == key) else { return };
        let at = Node { place: name.place.clone(), ..self.at(key).clone() };
        self.found.push(at.error(
            codes::UNKNOWN_KEY,
            format!("`{key}` is not for this broker"),
            Some(why.to_owned()),
        ));
    }

    fn at(&self, key: &str) -> &Node {
        self.node.get(key).unwrap_or(self.node)
    }
}
