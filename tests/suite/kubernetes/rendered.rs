//! What kustomize makes of an overlay holds as its files do, and differs from them in nothing but what it is told to add.

use std::collections::BTreeMap;

use serde_json::Value;
use trunkline_tests::workspace;

use super::objects::{Overlay, folder, named, parsed};
use super::renderer::Renderer;
use super::{OVERLAYS, findings, schema};

/// Kinds that are in no namespace.
const CLUSTERS: [&str; 1] = ["Namespace"];

#[test]
fn what_kustomize_makes_holds() {
    let Some(renderer) = Renderer::get("what_kustomize_makes_holds") else { return };
    for name in OVERLAYS {
        let files = Overlay::of_files(name);
        let mut objects = parsed(name, &renderer.render(&folder(name)));
        let at = objects.iter().position(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
        let map = objects.remove(at);
        assert_eq!(schema::wrong(&map), Vec::<String>::new());
        let generated = map["metadata"]["name"].as_str().unwrap();
        assert!(
            generated.starts_with("trunkline-"),
            "{generated} has no hash, so a change would roll no pod"
        );

        let configuration: BTreeMap<String, String> = serde_json::from_value(map["data"].clone()).unwrap();
        assert_eq!(configuration, files.configuration);
        let rendered = Overlay { name, objects, configuration };
        let found = findings(&rendered);
        assert!(found.is_empty(), "overlay {name}:\n{}", found.join("\n"));
        compare(&files, &rendered, generated);
    }
}

fn compare(files: &Overlay, rendered: &Overlay, generated: &str) {
    let by_name = |overlay: &Overlay| -> BTreeMap<String, Value> {
        overlay.objects.iter().map(|object| (named(object), object.clone())).collect()
    };
    let (mut expected, rendered) = (by_name(files), by_name(rendered));
    let version = env!("CARGO_PKG_VERSION");
    for object in expected.values_mut() {
        if !CLUSTERS.contains(&object["kind"].as_str().unwrap()) {
            object["metadata"]["namespace"] = "trunkline".into();
        }
        if object["kind"] == "Deployment" {
            let pod = &mut object["spec"]["template"]["spec"];
            pod["containers"][0]["image"] = format!("trunkline:{version}").into();
            let volumes = pod["volumes"].as_array_mut().unwrap().iter_mut();
            for map in volumes.filter_map(|volume| volume.get_mut("configMap")) {
                map["name"] = generated.into();
            }
        }
    }
    assert_eq!(
        serde_json::to_string_pretty(&rendered).unwrap(),
        serde_json::to_string_pretty(&expected).unwrap(),
        "made by kustomize on the left, the files with what it adds on the right"
    );
}

#[test]
fn the_image_that_is_named_is_of_this_version() {
    let base = workspace::read("deploy/kubernetes/base/kustomization.yaml");
    let tag = format!("newTag: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(base.contains(&tag), "base/kustomization.yaml does not say `{}`", tag.trim());
}
