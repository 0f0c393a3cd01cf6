//! The software bill of materials of the `trunkline` binary, as CycloneDX.

use std::collections::{BTreeSet, HashMap, VecDeque};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, NodeDep, Package, PackageId};
use cyclonedx_bom::models::component::{Classification, Components};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::prelude::*;

/// What is linked into the binary: its crates, and the C libraries' sources that they bring.
///
/// # Errors
/// Cargo's metadata names a crate that it does not describe.
pub(super) fn of(binary: &str, metadata: &Metadata) -> anyhow::Result<Bom> {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let root = metadata.packages.iter().find(|package| package.name == binary);
    let root = root.with_context(|| format!("the workspace has no package {binary}"))?;
    let linked = linked(&root.id, metadata, &packages)?;
    let components = linked.iter().filter(|id| **id != &root.id).map(|id| component(packages[*id]));
    let about = Component { component_type: Classification::Application, ..component(root)? };
    Ok(Bom {
        metadata: Some(cyclonedx_bom::models::metadata::Metadata {
            component: Some(about),
            ..Default::default()
        }),
        components: Some(Components(components.collect::<anyhow::Result<_>>()?)),
        ..Bom::default()
    })
}

fn linked<'m>(
    root: &'m PackageId,
    metadata: &'m Metadata,
    packages: &HashMap<&PackageId, &'m Package>,
) -> anyhow::Result<BTreeSet<&'m PackageId>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let (mut found, mut waiting) = (BTreeSet::from([root]), VecDeque::from([root]));
    while let Some(id) = waiting.pop_front() {
        let node = nodes.get(id).with_context(|| format!("cargo resolved no {id}"))?;
        for dependency in node.deps.iter().filter(|dependency| goes_in(dependency, packages)) {
            if found.insert(&dependency.pkg) {
                waiting.push_back(&dependency.pkg);
            }
        }
    }
    Ok(found)
}

/// A crate that only builds does not end in the binary, but for those that hold the sources of a C library.
fn goes_in(dependency: &NodeDep, packages: &HashMap<&PackageId, &Package>) -> bool {
    dependency.dep_kinds.iter().any(|info| match info.kind {
        DependencyKind::Normal => true,
        DependencyKind::Build => packages[&dependency.pkg].name.ends_with("-src"),
        _ => false,
    })
}

fn component(package: &Package) -> anyhow::Result<Component> {
    let version = package.version.to_string();
    let purl = Purl::new("cargo", &package.name, &version)?;
    let mut component =
        Component::new(Classification::Library, &package.name, &version, Some(purl.to_string()));
    if let Some(license) = &package.license {
        let expression = SpdxExpression::parse_lax(license.clone())
            .with_context(|| format!("{} {version} has the licence `{license}`", package.name))?;
        component.licenses = Some(Licenses(vec![LicenseChoice::Expression(expression)]));
    }
    component.purl = Some(purl);
    Ok(component)
}
