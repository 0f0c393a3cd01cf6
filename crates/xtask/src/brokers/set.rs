//! Starts and ends the brokers that tests share.

use std::path::PathBuf;
use std::thread;

use super::ports::{Port, Range};
use super::state::{Entry, State};
use super::{BrokersError, Certificates, Kind, Server, folder, install, kafka, postgres, rabbitmq};

/// What is known of a shared broker.
#[derive(Clone, Debug)]
pub struct Status {
    pub kind: Kind,
    /// As its environment variable would say it.
    pub url: String,
    /// Further listeners: what they are, and `host:port` or URL.
    pub further: Vec<(&'static str, String)>,
    /// While it runs.
    pub id: Option<u32>,
    /// In bytes.
    pub memory: u64,
}

/// Starts those that do not run, on empty data, and waits until all serve; returns which it started. What is missing on
/// the machine is installed.
///
/// # Errors
/// Something can't be installed or does not start; the others are started nevertheless.
pub fn up(kinds: &[Kind]) -> Result<Vec<Kind>, BrokersError> {
    install::install(kinds)?;
    let _lock = State::lock()?;
    let mut state = State::load()?;
    let fresh: Vec<Kind> =
        kinds.iter().copied().filter(|kind| !state.server(*kind).is_some_and(Server::serves)).collect();
    for kind in &fresh {
        end(&mut state, *kind)?;
    }
    if !state.certificates.as_ref().is_some_and(|certificates| certificates.ca.is_file()) {
        state.certificates = Some(Certificates::generate(&folder::brokers().join("certs"))?);
    }
    let (_reserved, prepared) = prepare(&mut state, &fresh);
    // Written before anything may fail, so that `down` finds every process.
    let spawned: Vec<_> = fresh.iter().filter_map(|kind| state.server(*kind)).map(Server::spawn).collect();
    state.save()?;
    let ready = together(&fresh, |kind| state.server(kind).map_or(Ok(()), Server::await_ready));
    prepared.into_iter().chain(spawned).chain(ready).collect::<Result<(), _>>()?;
    Ok(fresh)
}

/// Ends those that `up` started, no other process, and removes their data; returns which it ended. Certificates stay.
///
/// # Errors
/// The state can't be read or written.
pub fn down(kinds: &[Kind]) -> Result<Vec<Kind>, BrokersError> {
    let _lock = State::lock()?;
    let mut state = State::load()?;
    let mut ended = Vec::new();
    for kind in kinds {
        if state.server(*kind).is_some() {
            end(&mut state, *kind)?;
            ended.push(*kind);
        }
    }
    state.save()?;
    Ok(ended)
}

/// What `up` started, and whether it still runs.
///
/// # Errors
/// The state can't be read.
pub fn status() -> Result<Vec<Status>, BrokersError> {
    let state = State::load()?;
    let known = Kind::ALL.into_iter().filter_map(|kind| {
        let server = state.server(kind)?;
        let (url, further) = (state.url(kind)?, further(&state, kind));
        Some(Status { kind, url, further, id: server.id(), memory: server.memory() })
    });
    Ok(known.collect())
}

/// What tells tests of what `up` started: names and values of environment variables, none for what they name already.
///
/// # Errors
/// The state can't be read.
pub fn environment() -> Result<Vec<(&'static str, String)>, BrokersError> {
    let state = State::load()?;
    let urls = Kind::ungiven().into_iter().filter_map(|kind| Some((kind.variable(), state.url(kind)?)));
    let folder = (folder::VARIABLE, folder::brokers().to_string_lossy().into_owned());
    Ok(urls.chain([folder]).collect())
}

fn further(state: &State, kind: Kind) -> Vec<(&'static str, String)> {
    let listeners = match kind {
        Kind::Kafka => state.kafka.as_ref().map(|entry| {
            vec![("SASL over TLS", entry.addresses.sasl.clone()), ("mutual TLS", entry.addresses.tls.clone())]
        }),
        Kind::RabbitMq => state.rabbitmq.as_ref().map(|entry| vec![("TLS", entry.addresses.tls.clone())]),
        Kind::Postgres => None,
    };
    let listeners = listeners.into_iter().flatten();
    listeners.filter_map(|(name, address)| Some((name, address?))).collect()
}

/// What became of each step: the first failure is what `up` answers with.
type Outcomes = Vec<Result<(), BrokersError>>;

/// Writes the configurations of these and makes their empty data. Their ports are free for others when the first of
/// what is returned is dropped.
fn prepare(state: &mut State, kinds: &[Kind]) -> (Vec<Port>, Outcomes) {
    let certificates = state.certificates.clone();
    let certificates = certificates.as_ref();
    let prepared = together(kinds, |kind| Prepared::new(kind, certificates));
    let (mut reserved, mut outcomes) = (Vec::new(), Vec::new());
    for prepared in prepared {
        outcomes.push(prepared.map(|prepared| match prepared {
            Prepared::Kafka(entry, ports) => {
                state.kafka = Some(entry);
                reserved.extend(ports);
            }
            Prepared::RabbitMq(entry, ports) => {
                state.rabbitmq = Some(entry);
                reserved.extend(ports);
            }
            Prepared::Postgres(entry, port) => {
                state.postgres = Some(entry);
                reserved.push(port);
            }
        }));
    }
    (reserved, outcomes)
}

/// A broker that is ready to be started.
enum Prepared {
    Kafka(Entry<kafka::Addresses>, [Port; 4]),
    RabbitMq(Entry<rabbitmq::Addresses>, [Port; 4]),
    Postgres(Entry<String>, Port),
}

impl Prepared {
    fn new(kind: Kind, certificates: Option<&Certificates>) -> Result<Prepared, BrokersError> {
        let folder = data(kind)?;
        match kind {
            Kind::Kafka => {
                let settings = kafka::Settings {
                    heap: 512,
                    quick: false,
                    certificates: certificates.cloned(),
                    ..Default::default()
                };
                let ports = Range::SHARED.reserve_several()?;
                let (server, addresses) = kafka::prepare(&folder, &ports, &settings)?;
                Ok(Prepared::Kafka(Entry { server, addresses }, ports))
            }
            Kind::RabbitMq => {
                let tls = |certificates: &Certificates| rabbitmq::Tls {
                    certificates: certificates.clone(),
                    // Clients without a certificate are to be tried too; a private one can require it.
                    require_client_certificate: false,
                };
                let settings = rabbitmq::Settings { tls: certificates.map(tls), ..Default::default() };
                let ports = Range::SHARED.reserve_several()?;
                let (server, addresses) = rabbitmq::prepare(&folder, &ports, &settings)?;
                Ok(Prepared::RabbitMq(Entry { server, addresses }, ports))
            }
            Kind::Postgres => {
                let port = Range::SHARED.reserve()?;
                let (server, addresses) = postgres::prepare(&folder, &port, &postgres::Settings::default())?;
                Ok(Prepared::Postgres(Entry { server, addresses }, port))
            }
        }
    }
}

/// Does it for each kind at once, a thread for each: they wait for their servers most of the time.
fn together<T: Send>(kinds: &[Kind], work: impl Fn(Kind) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = kinds.iter().map(|kind| scope.spawn(|| work(*kind))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Kills it, if it runs: its data is removed, so nothing is gained from a stop in good order.
fn end(state: &mut State, kind: Kind) -> Result<(), BrokersError> {
    if let Some(server) = state.server(kind) {
        server.end();
    }
    state.forget(kind);
    folder::remove(&data(kind)?)
}

fn data(kind: Kind) -> Result<PathBuf, BrokersError> {
    let wanted = folder::brokers().join(kind.name());
    if kind == Kind::Postgres { postgres::reachable(wanted) } else { Ok(wanted) }
}
