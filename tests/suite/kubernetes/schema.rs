//! Every object is what the published schema of its kind says, with no field that the schema does not know.

use std::collections::HashMap;
use std::sync::OnceLock;

use jsonschema::Validator;
use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

use super::objects::{Overlay, named};

/// An amount of a resource, of which the schema describes the form in words only.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const AMOUNT: &str = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

/// What an object is: its `apiVersion` and its `kind`.
type Kind = (&'static str, &'static str);

pub(super) fn findings(overlay: &Overlay) -> Vec<String> {
    overlay.objects.iter().flat_map(wrong).collect()
}

/// What the schema of its kind says about an object.
pub(super) fn wrong(object: &Value) -> Vec<String> {
    let kind = (object["apiVersion"].as_str().unwrap_or(""), object["kind"].as_str().unwrap_or(""));
    let Some(validator) = schemas().get(&kind) else {
        return vec![format!("{}: no schema of {} {}", named(object), kind.0, kind.1)];
    };
    let wrong = validator.iter_errors(object);
    wrong.map(|error| format!("{}: {}: {error}", named(object), error.instance_path())).collect()
}

/// The kinds that are used here, in the oldest version of the API that the crate knows, 1.33.
fn schemas() -> &'static HashMap<Kind, Validator> {
    static SCHEMAS: OnceLock<HashMap<Kind, Validator>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        HashMap::from([
            schema::<ConfigMap>(),
            schema::<Deployment>(),
            schema::<HorizontalPodAutoscaler>(),
            schema::<Namespace>(),
            schema::<NetworkPolicy>(),
            schema::<PodDisruptionBudget>(),
            schema::<Service>(),
            schema::<ServiceAccount>(),
        ])
    })
}

fn schema<T: JsonSchema + Resource>() -> (Kind, Validator) {
    let mut schema = schema_for!(T).to_value();
    close(&mut schema);
    if let Some(quantity) = schema.pointer_mut(&format!("/$defs/{QUANTITY}")) {
        quantity["pattern"] = AMOUNT.into();
    }
    ((T::API_VERSION, T::KIND), jsonschema::validator_for(&schema).unwrap())
}

/// Refuses fields that a schema does not name; the API server would drop them with a warning at best. And says in the words of
/// a schema what one says in Kubernetes' own.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                fields.insert("type".to_owned(), json!(["integer", "string"]));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
