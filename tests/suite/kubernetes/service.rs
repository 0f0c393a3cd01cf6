//! One service of an overlay: its pod, and the pod's part of a file system with its configuration and its secrets.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::objects::{Overlay, list};

/// Where the pods find their secrets, a folder for each Secret.
pub(super) const SECRETS: &str = "/run/secrets/trunkline/";

/// Every Secret, with its keys and their values.
pub(super) type Secrets = BTreeMap<String, BTreeMap<String, String>>;

/// A Deployment, read.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    /// `gateway`, `router`, `dispatcher` or `console`.
    pub(super) name: &'a str,
    /// The specification of its pods.
    pub(super) pod: &'a Value,
    /// Their only container.
    pub(super) container: &'a Value,
}

impl<'a> Service<'a> {
    /// Every service of an overlay.
    pub(super) fn all(overlay: &'a Overlay) -> Vec<Self> {
        overlay.all("Deployment").map(Self::of).collect()
    }

    pub(super) fn of(deployment: &'a Value) -> Self {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        Self { name: container["name"].as_str().unwrap_or("?"), pod, container }
    }

    /// What the container is started with.
    pub(super) fn arguments(&self) -> Vec<String> {
        let texts = |pointer| list(self.container, pointer).iter().filter_map(Value::as_str);
        texts("/command").chain(texts("/args")).map(str::to_owned).collect()
    }

    /// Each volume that is mounted, with where.
    pub(super) fn mounts(&self) -> impl Iterator<Item = (&'a Value, &'a str)> {
        list(self.container, "/volumeMounts").iter().filter_map(|mount| {
            let volume = list(self.pod, "/volumes").iter().find(|volume| volume["name"] == mount["name"])?;
            Some((volume, mount["mountPath"].as_str()?))
        })
    }

    /// The Secrets that are mounted.
    pub(super) fn secrets(&self) -> Vec<&'a str> {
        self.mounts().filter_map(|(volume, _)| volume.pointer("/secret/secretName")?.as_str()).collect()
    }

    /// Where a secret is mounted.
    #[track_caller]
    pub(super) fn place_of(&self, secret: &str) -> &'a str {
        let mut mounts = self.mounts();
        let of_it = mounts
            .find(|(volume, _)| volume.pointer("/secret/secretName").is_some_and(|name| name == secret));
        of_it.expect("the secret is not mounted").1
    }

    /// Its port of that name.
    pub(super) fn port(&self, name: &str) -> Option<u64> {
        let port = list(self.container, "/ports").iter().find(|port| port["name"] == name)?;
        port["containerPort"].as_u64()
    }

    /// The environment of one of its pods, whose file system begins at `root`.
    pub(super) fn environment(&self, root: &Path) -> Vec<(String, String)> {
        let variables = list(self.container, "/env").iter().map(|variable| {
            let value = match variable["value"].as_str() {
                Some(path) if path.starts_with('/') => format!("{}{path}", root.display()),
                Some(value) => value.to_owned(),
                None if variable.pointer("/valueFrom/fieldRef/fieldPath")
                    == Some(&"metadata.name".into()) =>
                {
                    format!("trunkline-{}-7d9f-abcde", self.name)
                }
                None => panic!("{variable} has no value"),
            };
            (variable["name"].as_str().unwrap().to_owned(), value)
        });
        variables.collect()
    }

    /// Lays out what a pod has mounted below `root`, as the kubelet does: behind links, beside which are hidden folders.
    /// `change` puts a test's addresses in place of those of a pod.
    pub(super) fn lay_out(
        &self,
        root: &Path,
        overlay: &Overlay,
        secrets: &Secrets,
        change: impl Fn(&str) -> String,
    ) {
        let none = BTreeMap::new();
        for (volume, path) in self.mounts() {
            let folder = root.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(folder.join("..now")).unwrap();
            link("..now", &folder.join("..data"));
            let (files, mode) = match volume.pointer("/secret/secretName").and_then(Value::as_str) {
                Some(secret) => (secrets.get(secret).unwrap_or(&none), mode(volume)),
                None => (&overlay.configuration, 0o644),
            };
            for (file, text) in files {
                let text = change(text).replace(SECRETS, &format!("{}{SECRETS}", root.display()));
                write(&folder.join("..now").join(file), &text, mode);
                link(&format!("..data/{file}"), &folder.join(file));
            }
        }
    }
}

/// The mode of a Secret's files: unless said, everybody may read them.
pub(super) fn mode(volume: &Value) -> u32 {
    let said = volume.pointer("/secret/defaultMode").and_then(Value::as_u64);
    said.and_then(|mode| mode.try_into().ok()).unwrap_or(0o644)
}

/// Writes a file, unless another pod of the same file system wrote it.
fn write(at: &Path, text: &str, mode: u32) {
    if !at.exists() {
        std::fs::write(at, text).unwrap();
        std::fs::set_permissions(at, Permissions::from_mode(mode)).unwrap();
    }
}

/// Makes a link, unless another pod of the same file system made it.
fn link(target: &str, at: &Path) {
    if !at.is_symlink() {
        std::os::unix::fs::symlink(target, at).unwrap();
    }
}
