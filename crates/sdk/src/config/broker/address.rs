//! Addresses of brokers: which engine one means, and whether it is whole.

use std::fmt;

/// The engines that an address can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// `embedded:DIR`.
    Embedded,
    /// `kafka://HOST:PORT,..`.
    Kafka,
    /// `amqp://HOST:PORT/VHOST`, `amqps://..`.
    RabbitMq,
}

impl EngineKind {
    /// The engine that an address means by what stands before its first colon.
    ///
    /// # Errors
    /// What stands there, when it is no engine's.
    pub fn of(address: &str) -> Result<Self, &str> {
        match address.split(':').next().unwrap_or_default() {
            "embedded" => Ok(Self::Embedded),
            "kafka" => Ok(Self::Kafka),
            "amqp" | "amqps" => Ok(Self::RabbitMq),
            other => Err(other),
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "the embedded engine",
            Self::Kafka => "Kafka",
            Self::RabbitMq => "RabbitMQ",
        })
    }
}

/// The port of a Kafka server where the address names none.
const KAFKA_PORT: u16 = 9092;

/// The servers of a `kafka://HOST:PORT,HOST:PORT` address, each with its port.
///
/// # Errors
/// What is wrong with it, without repeating what may be a password.
pub fn kafka_servers(address: &str) -> Result<Vec<String>, &'static str> {
    let servers = address.strip_prefix("kafka://").ok_or("write kafka://HOST:PORT")?;
    if servers.contains('@') {
        return Err(
            "names and passwords stand under `broker.properties` (sasl.username, sasl.password), not in the address",
        );
    }
    servers.trim_end_matches('/').split(',').map(kafka_server).collect()
}

fn kafka_server(server: &str) -> Result<String, &'static str> {
    if server.is_empty() {
        return Err("a host is missing: write kafka://HOST:PORT, several joined by commas");
    }
    if server.contains(['/', '?', '#']) || server.contains(char::is_whitespace) {
        return Err(
            "only hosts and ports may follow kafka://; what else a client needs stands under `broker.properties`",
        );
    }
    // The colons of an IPv6 address stand in brackets.
    let behind_host = server.rfind(']').map_or(0, |end| end + 1);
    match server[behind_host..].rsplit_once(':') {
        None => Ok(format!("{server}:{KAFKA_PORT}")),
        Some((_host, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(server.to_owned()),
        Some(_) => Err("the port must be a number from 1 to 65535"),
    }
}

/// Judges an `amqp://` or `amqps://` address.
///
/// # Errors
/// What is wrong with it, without repeating what may be a password.
pub(super) fn judge_amqp(address: &str) -> Result<(), &'static str> {
    let parsed = url::Url::parse(address).map_err(|_no_url| {
        "it is no address: write amqp://USER:PASSWORD@HOST:PORT/VHOST, with %40 for @ and %2F for / inside a part"
    })?;
    match parsed.host_str() {
        Some(host) if !host.is_empty() => {}
        _ => return Err("a host is missing: write amqp://HOST:PORT/VHOST"),
    }
    if parsed.path().trim_start_matches('/').contains('/') {
        return Err("a virtual host with / in its name is written with %2F");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_kafka_have_ports() {
        #[track_caller]
        fn check(address: &str, expected: &[&str]) {
            assert_eq!(
                kafka_servers(address).as_deref(),
                Ok(&expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..])
            );
        }
        check("kafka://k1", &["k1:9092"]);
        check("kafka://k1:19092,k2/", &["k1:19092", "k2:9092"]);
        check("kafka://[::1]:1,[fe80::2]", &["[::1]:1", "[fe80::2]:9092"]);
        for wrong in [
            "kafka:k1",
            "kafka://",
            "kafka://k1,",
            "kafka://k1:0",
            "kafka://k1:x",
            "kafka://k1/topic",
            "kafka://k1?x=1",
        ] {
            assert!(kafka_servers(wrong).is_err(), "{wrong}");
        }
        let refused = kafka_servers("kafka://bus:canary@k1").unwrap_err();
        assert!(refused.contains("broker.properties") && !refused.contains("canary"), "{refused}");
    }

    #[test]
    fn addresses_of_rabbitmq_have_a_host() {
        for right in ["amqp://h", "amqps://u:p%40w@h:5671/bus", "amqp://h/%2F", "amqp://h/"] {
            assert_eq!(judge_amqp(right), Ok(()), "{right}");
        }
        for wrong in ["amqp:", "amqp://", "amqp:///bus", "amqp://h:port", "amqp://h/a/b"] {
            assert!(judge_amqp(wrong).is_err(), "{wrong}");
        }
    }
}
