//! RabbitMQ, from the distribution's package.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::ports::{Port, Range};
use super::probe::Probe;
use super::recipe::Recipe;
use super::server::Stop;
use super::{BrokersError, Certificates, Server, folder, install};

/// Each node has a port mapper of its own, so all can have one name.
const NODE: &str = "trunkline@localhost";

/// What a private RabbitMQ has of its own.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines of `rabbitmq.conf`.
    pub configuration: Vec<(String, String)>,
    /// How long a delivery may stay unsettled before the server closes its channel; looked at every second instead of
    /// every minute.
    pub consumer_timeout: Option<Duration>,
    /// With a listener for TLS beside the plain one.
    pub tls: Option<Tls>,
    /// Plugins of the package, for example `rabbitmq_auth_mechanism_ssl`.
    pub plugins: Vec<String>,
}

/// The listener for TLS. All listeners of a node have the same options: whether a client must show a certificate is the
/// node's choice. A certificate that is shown must be one of the authority's in either case.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Certificates,
    pub require_client_certificate: bool,
}

impl Settings {
    /// With one line more in `rabbitmq.conf`.
    pub fn configure(mut self, name: &str, value: &str) -> Settings {
        self.configuration.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where its listeners are, as URLs for `guest` and the virtual host `/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// `amqp://guest:guest@127.0.0.1:port/%2f`
    pub url: String,
    /// `amqps://guest:guest@localhost:port/%2f`; a client may show a certificate.
    pub tls: Option<String>,
}

/// A RabbitMQ of one's own. Dropped, it is gone with its data.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    addresses: Addresses,
}

impl RabbitMq {
    /// Starts one and waits until it serves, some ten seconds.
    ///
    /// # Errors
    /// The package can't be had, or it does not start.
    pub fn launch(settings: &Settings) -> Result<RabbitMq, BrokersError> {
        let guard = Guard::new(folder::private("rabbitmq"))?;
        let ports: [Port; 4] = Range::PRIVATE.reserve_several()?;
        let (server, addresses) = prepare(guard.folder(), &ports, settings)?;
        let server = server.private(guard, ports);
        server.start()?;
        Ok(RabbitMq { server, addresses })
    }

    /// Of the plain listener: `amqp://guest:guest@127.0.0.1:port/%2f`.
    pub fn url(&self) -> &str {
        &self.addresses.url
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Runs `rabbitmqctl` and returns what it printed. It takes about two seconds.
    ///
    /// # Errors
    /// It fails; the error holds what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, BrokersError> {
        ctl(&self.server, arguments)
    }
}

impl Deref for RabbitMq {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Runs `rabbitmqctl` in the server's own environment.
pub(crate) fn ctl(server: &Server, arguments: &[&str]) -> Result<String, BrokersError> {
    let mut recipe = server.recipe().clone();
    recipe.program = install::rabbitmq("rabbitmqctl")?;
    recipe.arguments = ["--quiet", "-n", NODE].iter().chain(arguments).map(ToString::to_string).collect();
    recipe.run()
}

/// Writes the configuration; the server is not started. The ports are of the plain listener, the one for TLS, Erlang's
/// distribution and its port mapper.
pub(crate) fn prepare(
    folder: &Path,
    ports: &[Port; 4],
    settings: &Settings,
) -> Result<(Server, Addresses), BrokersError> {
    let program = install::rabbitmq("rabbitmq-server")?;
    let [plain, tls, distribution, mapper] = ports.each_ref().map(|port| port.number);
    folder::create(folder)?;
    folder::write(&folder.join("plugins"), &format!("[{}].\n", settings.plugins.join(",")))?;
    folder::write(&folder.join("rabbitmq.conf"), &configuration(plain, tls, settings))?;
    folder::write(&folder.join("advanced.config"), &advanced(settings))?;
    let mut recipe = Recipe::new(program, folder.to_owned(), "rabbitmq");
    recipe.environment.extend(environment(folder, distribution, mapper));
    let mut mapping = Recipe::new(install::port_mapper()?, folder.to_owned(), "epmd");
    mapping = mapping.arguments(["-address", "127.0.0.1", "-port", &mapper.to_string()]);
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Started by us, or the first node would start one that outlives it.
    let mapper = Server::new("epmd", mapping, Probe::PortMapper(local(mapper)), Stop::Terminate);
    let server = Server::new("RabbitMQ", recipe, Probe::RabbitMq(local(plain)), Stop::Terminate);
    let addresses = Addresses {
        url: format!("amqp://guest:guest@127.0.0.1:{plain}/%2f"),
        tls: settings.tls.as_ref().map(|_| format!("amqps://guest:guest@localhost:{tls}/%2f")),
    };
    Ok((server.with_companion(mapper), addresses))
}

fn environment(folder: &Path, distribution: u16, mapper: u16) -> [(String, String); 13] {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    [
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_NODENAME", NODE.to_owned()),
        ("RABBITMQ_DIST_PORT", distribution.to_string()),
        ("ERL_EPMD_PORT", mapper.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_MNESIA_BASE", path("data")),
        ("RABBITMQ_LOG_BASE", path("log")),
        ("RABBITMQ_PID_FILE", path("pid")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins")),
        ("RABBITMQ_CONFIG_FILE", path("rabbitmq")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config")),
        // Waiting Erlang schedulers spin, which takes the processor from whoever they wait for.
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none".to_owned()),
        // The start script becomes the server instead of waiting for it, so that a signal reaches the server.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

fn configuration(plain: u16, tls: u16, settings: &Settings) -> String {
    let mut lines = vec![("listeners.tcp.1".to_owned(), format!("127.0.0.1:{plain}"))];
    if let Some(Tls { certificates, require_client_certificate }) = &settings.tls {
        let files = &certificates.server;
        lines.extend(
            [
                ("listeners.ssl.1", format!("127.0.0.1:{tls}")),
                ("ssl_options.cacertfile", certificates.ca.display().to_string()),
                ("ssl_options.certfile", files.certificate.display().to_string()),
                ("ssl_options.keyfile", files.key.display().to_string()),
                ("ssl_options.verify", "verify_peer".to_owned()),
                ("ssl_options.fail_if_no_peer_cert", require_client_certificate.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
    }
    lines.extend(settings.configuration.iter().cloned());
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a string can't fail.
        writeln!(text, "{name} = {value}").ok();
    }
    text
}

fn advanced(settings: &Settings) -> String {
    match settings.consumer_timeout {
        Some(limit) => format!(
            "[{{rabbit, [{{consumer_timeout, {}}}, {{channel_tick_interval, 1000}}]}}].\n",
            limit.as_millis()
        ),
        None => "[].\n".to_owned(),
    }
}
