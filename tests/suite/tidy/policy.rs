//! deny.toml, enforced as far as `cargo metadata` can tell: bans, wrappers, licences, sources.

use std::collections::{BTreeSet, HashMap};

use trunkline_tests::workspace;

fn policy() -> toml::Table {
    workspace::read("deny.toml").parse().unwrap()
}

fn strings(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn banned_crates_are_absent_and_wrapped_ones_are_wrapped() {
    let metadata = workspace::metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let names: HashMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let mut wrapped = 0;
    let mut wrong = Vec::new();
    for ban in policy()["bans"]["deny"].as_array().unwrap() {
        let banned = ban["crate"].as_str().unwrap();
        let wrappers = ban.get("wrappers").map(strings);
        for node in &resolve.nodes {
            let dependant = &names[&node.id];
            if !node.deps.iter().any(|dependency| names[&dependency.pkg] == banned) {
                continue;
            }
            match &wrappers {
                Some(wrappers) if wrappers.contains(dependant) => wrapped += 1,
                // What others' crates depend on among themselves is not ours to wrap (sqlx-sqlite under sqlx).
                Some(_) if !metadata.workspace_members.contains(&node.id) => {}
                _ => wrong.push(format!("{dependant} depends on {banned}")),
            }
        }
    }
    assert!(wrapped >= 3, "only {wrapped} wrapped dependencies were seen: is deny.toml read right?");
    assert!(wrong.is_empty(), "against deny.toml: {wrong:?}");
}

#[test]
fn every_licence_is_allowed() {
    let allowed: BTreeSet<String> = strings(&policy()["licenses"]["allow"]).into_iter().collect();
    let metadata = workspace::metadata();
    let wrong: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| !licence_allowed(package.license.as_deref().unwrap_or(""), &allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(wrong.is_empty(), "licences that deny.toml does not allow:\n{}", wrong.join("\n"));
}

/// One allowed alternative is enough where a licence says OR; all are needed where it says AND.
fn licence_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let every = |part: &str| part.split(" AND ").all(|licence| allowed.contains(licence.trim()));
    // "A AND (B OR C)" reads flat as "A AND B" or "C", which asks for no more than the expression does.
    expression.split(" OR ").any(every)
}

#[test]
fn everything_comes_from_the_registry_or_from_here() {
    let foreign: Vec<_> = workspace::metadata()
        .packages
        .iter()
        .filter_map(|package| {
            package.source.as_ref().map(|source| (package.name.to_string(), source.repr.clone()))
        })
        .filter(|(_, source)| !source.starts_with("registry+") && !source.starts_with("sparse+"))
        .collect();
    assert!(foreign.is_empty(), "not from a registry: {foreign:?}");
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("ISC AND (Apache-2.0 OR ISC)", true),
        ("MIT AND GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(licence_allowed(expression, &allowed), expected, "{expression}");
    }
}
