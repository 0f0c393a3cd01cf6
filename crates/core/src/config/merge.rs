//! The files of a configuration folder as one document.

use super::codes;
use super::diagnostic::{Diagnostic, Place};
use super::node::{Key, Node, NodeValue};

/// Merges the files of a configuration folder: maps are joined section by section, an entry that stands in two files
/// is an error at its second place. Only `version` may stand in several, when it is the same.
///
/// # Errors
/// One diagnostic for each entry that stands twice, and for each file that is no map.
pub fn merge(files: Vec<Node>) -> Result<Node, Vec<Diagnostic>> {
    let place = match files.first() {
        Some(first) => first.place.clone(),
        None => Place { file: "".into(), line: 1, column: 1 },
    };
    let mut merged: Vec<(Key, Node)> = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        match file.value {
            NodeValue::Map(sections) => {
                for (key, node) in sections {
                    add_section(&mut merged, key, node, &mut problems);
                }
            }
            _ => problems.push(file.error(codes::WRONG_VALUE, "a configuration is a map of sections", None)),
        }
    }
    match problems.is_empty() {
        true => Ok(Node { place, path: "".into(), value: NodeValue::Map(merged) }),
        false => Err(problems),
    }
}

fn add_section(merged: &mut Vec<(Key, Node)>, key: Key, node: Node, problems: &mut Vec<Diagnostic>) {
    let Some((first, existing)) = merged.iter_mut().find(|(existing, _)| existing.name == key.name) else {
        merged.push((key, node));
        return;
    };
    match (&mut existing.value, node.value) {
        (NodeValue::Map(entries), NodeValue::Map(more)) => {
            for (key, node) in more {
                match entries.iter().find(|(existing, _)| existing.name == key.name) {
                    Some((first, _)) => problems.push(twice(first, &key, &node.path)),
                    None => entries.push((key, node)),
                }
            }
        }
        (first, second) if &*key.name == "version" && *first == second => {}
        _ => problems.push(twice(first, &key, &node.path)),
    }
}

fn twice(first: &Key, second: &Key, path: &str) -> Diagnostic {
    Diagnostic {
        severity: super::Severity::Error,
        place: second.place.clone(),
        path: path.to_owned(),
        message: format!("`{}` stands already in {}", second.name, first.place),
        hint: Some("remove one of them".to_owned()),
        code: codes::DUPLICATE,
    }
}
