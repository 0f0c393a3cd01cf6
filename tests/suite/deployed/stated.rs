//! Dockerfile and docker-compose.yml beside the binary: commands, ports, settings, environment, secrets, health checks.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_tests::command;
use trunkline_tests::compose::{Compose, Service};
use trunkline_tests::dockerfile::Dockerfile;
use trunkline_tests::workspace;

/// Where processes serve health and metrics.
const ADMIN: u16 = 9600;

/// What the binary says of a command, when its arguments are taken as they stand.
async fn help(arguments: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.push("--help");
    command::run(&all, folder.path(), &[]).await.expect(0).out
}

/// The ports in a configuration's text that are listened on.
fn listens(configuration: &str) -> BTreeSet<u16> {
    let after = configuration.split("0.0.0.0:").skip(1);
    after
        .map(|rest| rest.split(|byte: char| !byte.is_ascii_digit()).next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn the_image_runs_what_the_binary_has() {
    let image = Dockerfile::read();
    assert_eq!(image.from, "scratch", "nothing but what is copied is in the image");
    let (user, group) = image.user.split_once(':').expect("USER has a group, too");
    assert!([user, group].iter().all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{}", image.user);
    assert_eq!(image.entrypoint, ["trunkline"]);
    let up = help(&image.command).await;
    let defaults = [("listen", 8080), ("listen", 8090), ("admin", ADMIN)];
    assert_eq!(image.exposed, defaults.map(|(_, port)| port));
    let (program, health) = image.health.split_first().unwrap();
    assert_eq!(program, "trunkline", "the image has no other program");
    help(health).await;
    let admin = format!("127.0.0.1:{ADMIN}");
    assert!(health.contains(&admin), "{health:?} does not ask {admin}");
    // The check ends by itself before its time is over, so that its reason is seen.
    assert_eq!(image.health_options["timeout"], "6s");
    known(image.environment.keys(), &up);
}

/// The environment variables of ours are ones that the binary or its documentation names.
#[track_caller]
fn known<'n>(names: impl Iterator<Item = &'n String>, help: &str) {
    let documented = workspace::read("docs/operations.md");
    for name in names {
        assert!(help.contains(&format!("[env: {name}=")) || documented.contains(name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn every_container_is_given_what_the_binary_takes() {
    let (compose, image) = (Compose::read(), Dockerfile::read());
    assert_eq!(compose.profiles(), ["kafka", "rabbitmq"]);
    for profile in compose.profiles() {
        let ours = compose.ours(&profile);
        let hosts: Vec<&str> = ours.iter().map(|service| service.host.as_str()).collect();
        assert_eq!(hosts, ["gateway", "router", "dispatcher", "console", "receiver"], "{profile}");
        for service in &ours {
            stands(service, &image).await;
        }
    }
}

async fn stands(service: &Service, image: &Dockerfile) {
    let name = &service.name;
    let help = help(&service.command).await;
    known(service.environment.keys(), &help);
    let configuration = service.configuration();
    let listens = listens(&configuration);
    assert!(listens.contains(&ADMIN), "{name}: the health check asks {ADMIN}");
    let reached: BTreeSet<u16> = service.published.iter().copied().chain(listens.iter().copied()).collect();
    assert!(
        reached.iter().all(|port| image.exposed.contains(port) && listens.contains(port)),
        "{name}: {reached:?}"
    );
    let wanted: BTreeSet<&str> =
        configuration.split("${file:").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    let given: BTreeSet<&str> = service.secrets.keys().map(String::as_str).collect();
    assert_eq!(wanted, given, "{name}: secrets that the configuration names, and those that it is given");
    for file in service.secrets.values().chain(service.mounted.values()) {
        assert!(workspace::root().join(file).exists(), "{name}: {file}");
    }
    assert_eq!(service.raw["read_only"], true, "{name}");
    let grace = help.lines().skip_while(|line| !line.contains("--grace")).find_map(seconds);
    let stop = seconds(service.raw["stop_grace_period"].as_str().unwrap());
    assert!(
        stop > grace && grace.is_some(),
        "{name}: killed after {stop:?} s, settles for up to {grace:?} s"
    );
}

/// The seconds of `[default: 10s]`, or of `10s`.
fn seconds(text: &str) -> Option<u32> {
    let text = text.split_once("[default: ").map_or(text, |(_, default)| default);
    text.trim_end_matches(']').strip_suffix('s')?.trim().parse().ok()
}

#[tokio::test]
async fn the_configuration_of_every_container_loads() {
    for profile in Compose::read().profiles() {
        for service in Compose::read().ours(&profile) {
            let folder = tempfile::tempdir().unwrap();
            let mut text = service.configuration();
            for (place, file) in &service.secrets {
                text = text.replace(place, &workspace::root().join(file).display().to_string());
            }
            std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
            command::run(&["check"], folder.path(), &[]).await.expect(0);
        }
    }
}

/// What the services call each other is what the file calls them, and what watches them looks at where they listen.
#[tokio::test]
async fn every_host_is_a_container() {
    let compose = Compose::read();
    for profile in compose.profiles() {
        let services = compose.services(&profile);
        let hosts: BTreeMap<&str, &Service> =
            services.iter().map(|service| (service.host.as_str(), service)).collect();
        assert_eq!(hosts.len(), services.len(), "{profile}: two containers under one name");
        let mut named: Vec<String> = Vec::new();
        for service in compose.ours(&profile) {
            named.push(service.configuration());
            named.extend(service.secrets.values().map(|file| workspace::read(file)));
            named.extend(service.environment.into_values());
        }
        let addresses = named.iter().flat_map(|text| addresses(text));
        let unknown: BTreeSet<String> = addresses.filter(|host| !hosts.contains_key(host.as_str())).collect();
        assert!(unknown.is_empty(), "{profile}: no container is called {unknown:?}");
        let scraped = workspace::read("deploy/prometheus/prometheus.yml");
        let targets: Vec<(&str, u16)> = scraped
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- ")?.split_once(':'))
            .filter_map(|(host, port)| Some((host, port.parse().ok()?)))
            .collect();
        assert_eq!(targets.len(), 4, "{targets:?}");
        for (host, port) in targets {
            assert!(
                hosts.contains_key(host) && port == ADMIN,
                "{profile}: {host}:{port} is not there to be scraped"
            );
        }
    }
}

/// The hosts of the URLs in a text, loopback and wildcard addresses left out.
fn addresses(text: &str) -> Vec<String> {
    let urls = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("://").skip(1));
    let hosts = urls.filter_map(|rest| {
        let authority = rest.split(['/', '"', ' ', '}']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        Some(host.to_owned())
    });
    hosts.filter(|host| !host.is_empty() && !host.starts_with(|first: char| first.is_ascii_digit())).collect()
}

#[test]
fn the_dashboard_and_the_rules_are_where_grafana_and_prometheus_look() {
    let compose = Compose::read();
    let services = compose.services("kafka");
    let mounted = |host: &str| &services.iter().find(|service| service.host == host).unwrap().mounted;
    let provider = workspace::read("deploy/grafana/provisioning/dashboards/trunkline.yaml");
    let place = provider.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap();
    let folder = &mounted("grafana")[place];
    assert!(workspace::root().join(folder).join("trunkline.json").is_file(), "{folder}");
    let source = workspace::read("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert!(source.contains("url: http://prometheus:9090"), "{source}");
    let prometheus = services.iter().find(|service| service.host == "prometheus").unwrap();
    let file = prometheus.command.iter().find_map(|word| word.strip_prefix("--config.file=")).unwrap();
    let (folder, name) = file.rsplit_once('/').unwrap();
    let folder = &prometheus.mounted[folder];
    assert!(workspace::root().join(folder).join(name).is_file() && name == "prometheus.yml", "{folder}");
}
