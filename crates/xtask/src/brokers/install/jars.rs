//! Kafka's jars, kept outside the clone, so that a fresh one does not fetch them again.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::{BrokersError, folder};
use super::on_path;

const VERSION: &str = "4.4.0";
/// What Kafka logs with; it does not bring one itself.
const LOG4J: &str = "2.24.3";

/// `~/.cache/trunkline/kafka-VERSION`, or where `XDG_CACHE_HOME` says.
pub(super) fn folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    cache.or_else(home).unwrap_or_else(folder::target).join(format!("trunkline/kafka-{VERSION}"))
}

/// Fetches them with Maven from where its own settings say, 43 MB.
pub(super) fn fetch() -> Result<PathBuf, BrokersError> {
    let jars = folder();
    if jars.is_dir() {
        return Ok(jars);
    }
    if on_path("mvn").is_none() {
        return Err(super::missing("mvn", "maven"));
    }
    // Another process may fetch them at the same time; the folder appears whole or not at all.
    let fresh = jars.with_extension(format!("{}.new", std::process::id()));
    folder::create(&fresh)?;
    let pom = fresh.join("pom.xml");
    folder::write(&pom, &pom_text())?;
    eprintln!("> mvn dependency:copy-dependencies (Kafka {VERSION})");
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        .output()
        .map_err(|source| BrokersError::Run { command: "mvn".to_owned(), source })?;
    if !output.status.success() {
        folder::remove(&fresh)?;
        return Err(BrokersError::Failed {
            command: "mvn dependency:copy-dependencies".to_owned(),
            status: output.status,
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
        });
    }
    match std::fs::rename(&fresh, &jars) {
        Ok(()) => Ok(jars),
        // The other process was first.
        Err(_) if jars.is_dir() => folder::remove(&fresh).map(|()| jars),
        Err(error) => Err(BrokersError::file(&jars)(error)),
    }
}

fn pom_text() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>trunkline</groupId><artifactId>test-kafka</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{}{}</dependencies></project>\n",
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
    )
}
