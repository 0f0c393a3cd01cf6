//! `docker-compose.yml` as Docker reads it: profiles, merged mappings, and the files that it gives to containers.

use std::collections::BTreeMap;

use serde_yaml_ng::Value;

use crate::workspace;

/// The name of the image that our own services run.
pub const IMAGE: &str = "trunkline";

/// A service of the file.
#[derive(Debug, Clone)]
pub struct Service {
    /// As other containers call it.
    pub host: String,
    /// As the file calls it.
    pub name: String,
    /// What the container's entry point is given.
    pub command: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Ports of the container that the machine has, too.
    pub published: Vec<u16>,
    /// Files and folders of the workspace, by their place in the container.
    pub mounted: BTreeMap<String, String>,
    /// Files with secrets, by their place in the container.
    pub secrets: BTreeMap<String, String>,
    /// Everything else.
    pub raw: Value,
}

/// The file, with all its services.
pub struct Compose(Value);

impl Compose {
    /// Reads the file of the workspace.
    pub fn read() -> Self {
        let mut file: Value = serde_yaml_ng::from_str(&workspace::read("docker-compose.yml")).unwrap();
        // What is merged in may merge others in itself.
        while merges(&file["services"]) {
            file.apply_merge().unwrap();
        }
        Self(file)
    }

    /// The names of the profiles.
    pub fn profiles(&self) -> Vec<String> {
        let services = self.0["services"].as_mapping().unwrap().values();
        let mut profiles: Vec<String> = services.flat_map(|service| texts(&service["profiles"])).collect();
        profiles.sort_unstable();
        profiles.dedup();
        profiles
    }

    /// What `docker compose --profile NAME up` starts, in the order of the file.
    pub fn services(&self, profile: &str) -> Vec<Service> {
        let services = self.0["services"].as_mapping().unwrap().iter();
        let named = services.map(|(name, service)| (name.as_str().unwrap(), service));
        let started = named.filter(|(_, service)| {
            let profiles = texts(&service["profiles"]);
            profiles.is_empty() || profiles.iter().any(|other| other == profile)
        });
        started.map(|(name, service)| self.service(name, service)).collect()
    }

    /// Those of [`Compose::services`] that run our image.
    pub fn ours(&self, profile: &str) -> Vec<Service> {
        let mut services = self.services(profile);
        services.retain(|service| service.raw["image"] == IMAGE);
        services
    }

    /// The file of a secret, from the workspace's root.
    fn secret(&self, name: &str) -> String {
        let file = self.0["secrets"][name]["file"].as_str();
        relative(file.unwrap_or_else(|| panic!("docker-compose.yml has no secret {name}")))
    }

    fn service(&self, name: &str, raw: &Value) -> Service {
        let aliases = texts(&raw["networks"]["default"]["aliases"]);
        let secrets = raw["secrets"].as_sequence().into_iter().flatten().map(|secret| {
            let source = secret.as_str().or(secret["source"].as_str()).unwrap();
            let target = secret["target"].as_str().unwrap_or(source);
            (format!("/run/secrets/{target}"), self.secret(source))
        });
        let mounted = texts(&raw["volumes"]).into_iter().filter_map(|volume| {
            let (from, rest) = volume.split_once(':')?;
            let to = rest.split(':').next()?;
            from.starts_with("./").then(|| (to.to_owned(), relative(from)))
        });
        let environment = raw["environment"].as_mapping().into_iter().flatten();
        let environment = environment.map(|(name, value)| (text(name), text(value)));
        let published =
            texts(&raw["ports"]).into_iter().map(|port| port.rsplit(':').next().unwrap().parse().unwrap());
        Service {
            host: aliases.into_iter().next().unwrap_or_else(|| name.to_owned()),
            name: name.to_owned(),
            command: texts(&raw["command"]),
            environment: environment.collect(),
            published: published.collect(),
            mounted: mounted.collect(),
            secrets: secrets.collect(),
            raw: raw.clone(),
        }
    }
}

impl Service {
    /// Trunkline's configuration, as it stands in the workspace.
    pub fn configuration(&self) -> String {
        let place = "/etc/trunkline/trunkline.yaml";
        let file = self.mounted.get(place).unwrap_or_else(|| panic!("{} has no {place}", self.name));
        workspace::read(file)
    }
}

fn merges(value: &Value) -> bool {
    match value {
        Value::Mapping(mapping) => mapping.iter().any(|(key, value)| key == "<<" || merges(value)),
        Value::Sequence(values) => values.iter().any(merges),
        _ => false,
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| serde_yaml_ng::to_string(value).unwrap().trim().to_owned(), str::to_owned)
}

fn relative(path: &str) -> String {
    path.trim_start_matches("./").to_owned()
}
