//! Apache Kafka: one process that is broker and controller, from the jars that the project publishes.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::ports::{Port, Range};
use super::probe::Probe;
use super::recipe::Recipe;
use super::server::Stop;
use super::{BrokersError, Certificates, Server, folder, install};

/// The user that the listener with SASL knows, in every mechanism.
pub const USER: &str = "bus";
/// That user's password.
pub const PASSWORD: &str = "bus-secret";

/// What a private Kafka has of its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the JVM, in MiB; grown into as needed.
    pub heap: u32,
    /// Starts in half the time, and is slower under load.
    pub quick: bool,
    /// Lines of `server.properties`, which overrule the usual ones: for example `log.dirs` on a small file system.
    pub properties: Vec<(String, String)>,
    /// With listeners for SASL over TLS and for mutual TLS beside the plain one.
    pub certificates: Option<Certificates>,
    /// With a second plain listener.
    pub proxied: Option<Proxied>,
}

/// A plain listener on 127.0.0.1 whose clients are told of another address: that of a proxy before it.
#[derive(Clone, Debug)]
pub struct Proxied {
    /// Where Kafka listens.
    pub port: u16,
    /// Where clients connect, as `host:port`.
    pub advertised: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { heap: 256, quick: true, properties: Vec::new(), certificates: None, proxied: None }
    }
}

impl Settings {
    /// With one property more.
    pub fn property(mut self, name: &str, value: &str) -> Settings {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where its listeners are, as `host:port`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    pub plain: String,
    /// SASL over TLS: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 for [`USER`], OAUTHBEARER with unsigned tokens. Asks for no
    /// client certificate.
    pub sasl: Option<String>,
    /// TLS with a client certificate that its authority signed.
    pub tls: Option<String>,
}

/// A Kafka of one's own, alone in its cluster; topics are not created by themselves. Dropped, it is gone with its data.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    addresses: Addresses,
}

impl Kafka {
    /// Starts one and waits until it serves, some seconds.
    ///
    /// # Errors
    /// Java or the jars can't be had, or it does not start.
    pub fn launch(settings: &Settings) -> Result<Kafka, BrokersError> {
        let guard = Guard::new(folder::private("kafka"))?;
        let ports: [Port; 4] = Range::PRIVATE.reserve_several()?;
        let (server, addresses) = prepare(guard.folder(), &ports, settings)?;
        let server = server.private(guard, ports);
        server.start()?;
        Ok(Kafka { server, addresses })
    }

    /// Of the plain listener, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.addresses.plain
    }

    /// For a configuration: `kafka://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.addresses.plain)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }
}

impl Deref for Kafka {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Writes the configuration and an empty log; the server is not started. The ports are of the listeners plain, controller,
/// SASL and TLS.
pub(crate) fn prepare(
    folder: &Path,
    ports: &[Port; 4],
    settings: &Settings,
) -> Result<(Server, Addresses), BrokersError> {
    let jars = install::kafka_jars()?;
    let java = install::java()?;
    folder::create(folder)?;
    folder::write(&folder.join("server.properties"), &properties(folder, ports, settings))?;
    let classes = format!("{}/*", jars.display());
    let java = |name, machine: &[&str], program: &[&str]| {
        let recipe = Recipe::new(java.clone(), folder.to_owned(), name);
        let classes = ["-Dlog4j2.level=WARN", "-cp", &classes];
        recipe.arguments(machine.iter().chain(&classes).chain(program).copied())
    };
    let users = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
        .map(|mechanism| format!("{mechanism}=[name={USER},password={PASSWORD}]"));
    let format = ["format", "--standalone", "-t", CLUSTER, "-c", "server.properties"];
    let users = users.iter().flat_map(|user| ["--add-scram", user]);
    let format: Vec<&str> = ["kafka.tools.StorageTool"].into_iter().chain(format).chain(users).collect();
    java("format", &QUICK, &format).run()?;
    let heap = format!("-Xmx{}m", settings.heap);
    let machine = if settings.quick { &QUICK[..] } else { &["-XX:+UseG1GC"] };
    let recipe = java("kafka", &[machine, &[&*heap]].concat(), &["kafka.Kafka", "server.properties"]);
    let [plain, _, sasl, tls] = ports.each_ref().map(|port| port.number);
    let probe = Probe::Kafka(SocketAddr::from((Ipv4Addr::LOCALHOST, plain)));
    let secured = |port| settings.certificates.as_ref().map(|_| format!("localhost:{port}"));
    let addresses = Addresses { plain: format!("127.0.0.1:{plain}"), sasl: secured(sasl), tls: secured(tls) };
    Ok((Server::new("Kafka", recipe, probe, Stop::Terminate), addresses))
}

/// A JVM that starts with half the work and memory. Its code stays slower.
const QUICK: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Any 16 bytes in base64url; each Kafka is alone in its cluster.
const CLUSTER: &str = "dHJ1bmtsaW5ldGVzdHMwMA";

fn properties(folder: &Path, ports: &[Port; 4], settings: &Settings) -> String {
    let [plain, controller, sasl, tls] = ports.each_ref().map(|port| port.number);
    let data = folder.join("data");
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,PROXIED:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
",
        data.display()
    );
    let plain = format!("PLAINTEXT://127.0.0.1:{plain}");
    let secured = format!(",SASL_SSL://localhost:{sasl},SSL://localhost:{tls}");
    let secured = if settings.certificates.is_some() { &*secured } else { "" };
    let proxied = |address: fn(&Proxied) -> String| {
        let listener = settings.proxied.as_ref().map(|proxied| format!(",PROXIED://{}", address(proxied)));
        listener.unwrap_or_default()
    };
    let listens = proxied(|proxied| format!("127.0.0.1:{}", proxied.port));
    let told = proxied(|proxied| proxied.advertised.clone());
    let lines = [
        format!("listeners={plain},CONTROLLER://127.0.0.1:{controller}{secured}{listens}"),
        format!("advertised.listeners={plain}{secured}{told}"),
    ];
    let certificates = settings.certificates.as_ref().map(security);
    let own = settings.properties.iter().map(|(name, value)| format!("{name}={value}"));
    for line in lines.into_iter().chain(certificates).chain(own) {
        // Writing to a string can't fail. Of two lines with one name the later counts.
        writeln!(text, "{line}").ok();
    }
    text
}

/// TLS with PEM files, and SASL.
fn security(certificates: &Certificates) -> String {
    let modules = "org.apache.kafka.common.security";
    let sasl = "listener.name.sasl_ssl";
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
{sasl}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
{sasl}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
{sasl}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
{sasl}.oauthbearer.sasl.jaas.config={modules}.oauthbearer.OAuthBearerLoginModule required \
         unsecuredLoginStringClaim_sub=\"{USER}\";",
        certificates.server.bundle.display(),
        certificates.ca.display(),
    )
}
