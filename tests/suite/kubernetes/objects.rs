//! The objects of an overlay, read from its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use trunkline_core::config::{Node, NodeValue, merge, parse};
use trunkline_tests::workspace;

/// All that a kustomization here may say. With these alone the files say what is applied: kustomize adds the namespace, the
/// image's tag and the ConfigMap. A patch would change an object behind the back of whoever reads its file.
const PLAIN: [&str; 6] = ["apiVersion", "kind", "namespace", "resources", "configMapGenerator", "images"];

/// What is applied for one broker.
#[derive(Clone)]
pub(super) struct Overlay {
    /// Its folder's name, which is its engine's.
    pub(super) name: &'static str,
    /// Every object but the generated ConfigMap.
    pub(super) objects: Vec<Value>,
    /// The files of the ConfigMap.
    pub(super) configuration: BTreeMap<String, String>,
}

impl Overlay {
    /// As its files stand.
    pub(super) fn of_files(name: &'static str) -> Self {
        let mut overlay = Self { name, objects: Vec::new(), configuration: BTreeMap::new() };
        overlay.read(&folder(name));
        overlay
    }

    fn read(&mut self, folder: &Path) {
        let kustomization = only(&documents(&folder.join("kustomization.yaml")));
        for key in kustomization.as_object().unwrap().keys() {
            assert!(PLAIN.contains(&key.as_str()), "{}: `{key}` is none of {PLAIN:?}", folder.display());
        }
        for resource in list(&kustomization, "/resources") {
            let path = folder.join(resource.as_str().unwrap());
            if path.is_dir() {
                self.read(&path);
            } else {
                self.objects.extend(documents(&path));
            }
        }
        for generator in list(&kustomization, "/configMapGenerator") {
            assert_eq!(generator["name"], "trunkline");
            for file in list(generator, "/files") {
                let file = file.as_str().unwrap();
                let text = std::fs::read_to_string(folder.join(file)).unwrap();
                self.configuration.insert(file.to_owned(), text);
            }
        }
    }

    /// The objects of a kind.
    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The configuration that the services read, merged as they merge it.
    pub(super) fn configuration(&self) -> Node {
        let parsed = self.configuration.iter().map(|(file, text)| parse(file, text).unwrap());
        merge(parsed.collect()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }
}

/// The folder of an overlay.
pub(super) fn folder(name: &str) -> PathBuf {
    workspace::root().join("deploy/kubernetes/overlays").join(name)
}

/// The documents of a YAML file.
pub(super) fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parsed(&path.display().to_string(), &text)
}

/// The documents of a text of YAML.
pub(super) fn parsed(name: &str, text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|document| value(&parse(name, document).unwrap())).collect()
}

/// The entries of a list inside an object; none where there is no list.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What a finding calls an object.
pub(super) fn named(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

/// The labels that a pod of a Deployment has.
pub(super) fn labels(deployment: &Value) -> &Value {
    deployment.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null)
}

/// Whether an object with these labels is selected: it has each label that is asked for. A selector that asks for nothing
/// selects everything, which none here is meant to.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let asked = selector.as_object().filter(|asked| !asked.is_empty());
    asked.is_some_and(|asked| asked.iter().all(|(label, value)| labels.get(label) == Some(value)))
}

fn only(documents: &[Value]) -> Value {
    let [document] = documents else { panic!("{} documents", documents.len()) };
    document.clone()
}

fn value(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Boolean(truth) => (*truth).into(),
        NodeValue::Integer(number) => (*number).into(),
        NodeValue::Float(number) => Value::Number(Number::from_f64(*number).unwrap()),
        NodeValue::Text { text, .. } => (**text).into(),
        NodeValue::List(items) => items.iter().map(value).collect(),
        NodeValue::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| (key.name.to_string(), value(node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}
