//! kustomize, as it is at hand: by itself, inside kubectl, or made by Go.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use trunkline_tests::workspace;

/// What Go makes where neither kustomize nor kubectl is there, or only an old one.
const MODULE: &str = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1";

/// A command that renders a folder.
#[derive(Debug, Clone)]
pub(super) struct Renderer {
    program: PathBuf,
    /// Before the folder.
    arguments: &'static [&'static str],
}

impl Renderer {
    /// None where it can't be had; then the skipped case is named in the run's output.
    pub(super) fn get(case: &str) -> Option<Self> {
        static FOUND: OnceLock<Result<Renderer, String>> = OnceLock::new();
        match FOUND.get_or_init(find) {
            Ok(renderer) => Some(renderer.clone()),
            Err(reason) => {
                // Not by `eprintln!`, whose output the test runner keeps for failures.
                drop(writeln!(
                    std::io::stderr(),
                    "skipped: {case}: no kustomize 5, no kubectl with it: {reason}"
                ));
                None
            }
        }
    }

    /// What is applied of a folder, as YAML.
    pub(super) fn render(&self, folder: &Path) -> String {
        let output = Command::new(&self.program).args(self.arguments).arg(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // What is out of date in a kustomization is said there, too.
        assert!(output.status.success() && said.is_empty(), "{self:?} {}: {said}", folder.display());
        String::from_utf8(output.stdout).unwrap()
    }
}

fn find() -> Result<Renderer, String> {
    // An older kustomize, as an old kubectl has inside, makes other things of the same files.
    let is_fifth = |program: &str, arguments: &[&str], before: &str| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success() && said.contains(&format!("{before}v5."))
        })
    };
    if is_fifth("kustomize", &["version"], "") {
        return Ok(Renderer { program: "kustomize".into(), arguments: &["build"] });
    }
    if is_fifth("kubectl", &["version", "--client", "--output=json"], "\"kustomizeVersion\": \"") {
        return Ok(Renderer { program: "kubectl".into(), arguments: &["kustomize"] });
    }
    let place = workspace::metadata().target_directory.join("kustomize-of-tests").into_std_path_buf();
    let program = place.join("kustomize");
    if !program.is_file() {
        let output = Command::new("go").args(["install", MODULE]).env("GOBIN", &place).output();
        let output = output.map_err(|error| format!("go: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
        }
    }
    Ok(Renderer { program, arguments: &["build"] })
}
