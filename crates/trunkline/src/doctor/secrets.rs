//! Files of secrets that others on the machine may read. Those that are missing are findings of the configuration's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use trunkline_core::config::{Diagnostics, Node, NodeValue, SecretReference, Severity};
use trunkline_sdk::config::{Shared, code, secret_reference};

use super::spot::Spot;

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// Judges the file of every secret that the configuration refers to, and the private key of `broker.tls`.
pub(super) fn judge(shared: &Shared, findings: &mut Diagnostics) {
    walk(&shared.root, shared, findings);
    if let Some((_, file)) = shared.broker.tls_files().find(|(key, _)| *key == "key") {
        let node =
            shared.section_node("broker").and_then(|node| node.get("tls")).and_then(|tls| tls.get("key"));
        judge_file(&shared.folder, file, node.unwrap_or(&shared.root), findings);
    }
}

fn walk(node: &Node, shared: &Shared, findings: &mut Diagnostics) {
    match &node.value {
        NodeValue::Text { text, .. } => {
            let secret = secret_reference(text);
            if let Some(SecretReference::File(file)) = secret.as_ref().map(|secret| secret.reference()) {
                judge_file(&shared.folder, file, node, findings);
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| walk(item, shared, findings)),
        NodeValue::Map(entries) => entries.iter().for_each(|(_, value)| walk(value, shared, findings)),
        _ => {}
    }
}

fn judge_file(folder: &Path, file: &str, node: &Node, findings: &mut Diagnostics) {
    // One that is not there is told already.
    let Ok(metadata) = std::fs::metadata(folder.join(file)) else { return };
    let mode = metadata.permissions().mode();
    let (severity, what) = match mode {
        mode if mode & OTHERS_WRITE != 0 => (Severity::Error, "change"),
        mode if mode & OTHERS_READ != 0 => (Severity::Warning, "read"),
        _ => return,
    };
    let problem =
        format!("everybody on this machine may {what} the secret in `{file}` (mode {:04o})", mode & 0o7777);
    let remedy = format!(
        "`chmod o-rwx {file}`; of a secret that Kubernetes mounts, `defaultMode: 0440` with `fsGroup`"
    );
    findings.push(Spot::of(node).diagnostic(severity, code::EXPOSED_SECRET, problem, remedy));
}
