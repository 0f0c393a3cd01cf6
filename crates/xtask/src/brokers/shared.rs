//! The brokers that all tests of a run share.

use std::io::Write as _;

use super::state::{Entry, State};
use super::{BrokersError, Certificates, Kind, Server, kafka, rabbitmq};

/// Set by who runs the tests on a machine that can't have brokers: what needs one says that it is skipped.
pub const WITHOUT: &str = "TRUNKLINE_TEST_NO_BROKERS";

/// The brokers of this test run. Use names of your own on them: prefixes, virtual hosts, databases.
#[derive(Debug)]
pub struct Shared(State);

/// Says where the shared brokers are: where the environment variables say, else where `cargo xtask brokers up` or
/// `cargo xtask test` started them.
///
/// # Errors
/// What was started can't be read.
pub fn shared() -> Result<Shared, BrokersError> {
    State::load().map(Shared)
}

/// The same, or none where the run is without brokers: then the skipped case is named in the run's output.
///
/// # Errors
/// As [`shared`].
pub fn shared_or_skip(case: &str) -> Result<Option<Shared>, BrokersError> {
    if skipped(case) { Ok(None) } else { shared().map(Some) }
}

/// Whether the run is without brokers; then it says `skipped: CASE: reason`. For tests with a broker of their own.
pub fn skipped(case: &str) -> bool {
    let without = std::env::var_os(WITHOUT).is_some_and(|value| !value.is_empty());
    if without {
        // Not by `eprintln!`, whose output the test runner keeps for failures. Nobody reads it when it can't be written.
        writeln!(std::io::stderr(), "skipped: {case}: this run is without brokers ({WITHOUT})").ok();
    }
    without
}

impl Shared {
    /// # Errors
    /// Nobody named or started one; the error says how to.
    pub fn kafka(&self) -> Result<SharedKafka, BrokersError> {
        let other = |plain| kafka::Addresses { plain, sasl: None, tls: None };
        let (addresses, control) = self.choose(Kind::Kafka, self.0.kafka.as_ref(), other)?;
        Ok(SharedKafka { addresses, certificates: self.certificates(control), control })
    }

    /// # Errors
    /// As [`Shared::kafka`].
    pub fn rabbitmq(&self) -> Result<SharedRabbitMq, BrokersError> {
        let other = |url| rabbitmq::Addresses { url, tls: None };
        let (addresses, control) = self.choose(Kind::RabbitMq, self.0.rabbitmq.as_ref(), other)?;
        Ok(SharedRabbitMq { addresses, certificates: self.certificates(control), control })
    }

    /// # Errors
    /// As [`Shared::kafka`].
    pub fn postgres(&self) -> Result<SharedPostgres, BrokersError> {
        let (url, control) = self.choose(Kind::Postgres, self.0.postgres.as_ref(), |url| url)?;
        Ok(SharedPostgres { url, control })
    }

    /// What the environment says overrules what was started; `other` makes addresses of it.
    fn choose<A: Clone>(
        &self,
        kind: Kind,
        started: Option<&Entry<A>>,
        other: impl FnOnce(String) -> A,
    ) -> Result<(A, Control), BrokersError> {
        match (kind.given(), started) {
            // `cargo xtask test` names what it started, which is no other one.
            (Some(given), _) if self.0.url(kind).is_none_or(|url| url != given) => {
                Ok((other(given), Control { kind, foreign: true }))
            }
            (_, Some(entry)) => Ok((entry.addresses.clone(), Control { kind, foreign: false })),
            (_, None) => Err(BrokersError::NotUp { kind }),
        }
    }

    fn certificates(&self, control: Control) -> Option<Certificates> {
        self.0.certificates.clone().filter(|_| !control.foreign)
    }
}

/// The shared Kafka.
#[derive(Clone, Debug)]
pub struct SharedKafka {
    /// One that an environment variable names has only the plain listener.
    pub addresses: kafka::Addresses,
    /// For the listeners with TLS, where there are some.
    pub certificates: Option<Certificates>,
    pub control: Control,
}

impl SharedKafka {
    /// For a configuration: `kafka://host:port`.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.addresses.plain)
    }
}

/// The shared RabbitMQ.
#[derive(Clone, Debug)]
pub struct SharedRabbitMq {
    /// One that an environment variable names has only the plain listener.
    pub addresses: rabbitmq::Addresses,
    /// For the listener with TLS, where there is one.
    pub certificates: Option<Certificates>,
    pub control: Control,
}

impl SharedRabbitMq {
    /// `amqp://guest:guest@host:port/%2f`
    pub fn url(&self) -> &str {
        &self.addresses.url
    }

    /// Runs `rabbitmqctl` and returns what it printed. It takes about two seconds.
    ///
    /// # Errors
    /// An environment variable names the server; or it fails, and the error holds what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, BrokersError> {
        let state = self.control.state("a control tool")?;
        rabbitmq::ctl(self.control.server(&state)?, arguments)
    }
}

/// The shared PostgreSQL.
#[derive(Clone, Debug)]
pub struct SharedPostgres {
    /// `postgres://user@host:port/database`
    pub url: String,
    pub control: Control,
}

/// The process of a shared broker. All tests of the run feel it: a test that wants to be alone launches a broker of its
/// own. Each method fails for a broker that an environment variable names.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    kind: Kind,
    foreign: bool,
}

impl Control {
    /// As [`Server::start`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start(&self) -> Result<(), BrokersError> {
        self.change(Server::start)
    }

    /// As [`Server::restart`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&self) -> Result<(), BrokersError> {
        self.change(Server::restart)
    }

    /// As [`Server::kill`].
    ///
    /// # Errors
    /// It is not ours.
    pub fn kill(&self) -> Result<(), BrokersError> {
        self.change(|server| {
            server.kill();
            Ok(())
        })
    }

    /// As [`Server::pause`].
    ///
    /// # Errors
    /// It is not ours.
    pub fn pause(&self) -> Result<(), BrokersError> {
        self.change(|server| {
            server.pause();
            Ok(())
        })
    }

    /// As [`Server::resume`].
    ///
    /// # Errors
    /// It is not ours.
    pub fn resume(&self) -> Result<(), BrokersError> {
        self.change(|server| {
            server.resume();
            Ok(())
        })
    }

    /// Other processes must know the new process, also when it does not become ready.
    fn change(&self, what: impl FnOnce(&Server) -> Result<(), BrokersError>) -> Result<(), BrokersError> {
        let _lock = State::lock()?;
        let state = self.state("a process that a test may control")?;
        let done = what(self.server(&state)?);
        state.save()?;
        done
    }

    fn state(&self, what: &'static str) -> Result<State, BrokersError> {
        if self.foreign {
            return Err(BrokersError::Foreign { kind: self.kind, what });
        }
        State::load()
    }

    fn server<'a>(&self, state: &'a State) -> Result<&'a Server, BrokersError> {
        state.server(self.kind).ok_or(BrokersError::NotUp { kind: self.kind })
    }
}
