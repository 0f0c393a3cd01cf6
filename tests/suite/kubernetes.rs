//! What `deploy/kubernetes` applies, against the schemas of the Kubernetes API and against the binary that it runs.
//!
//! Every check takes the objects and says what is wrong with them. It is asked about the files as they stand, which needs
//! nothing but this crate, about what kustomize makes of them, where that is at hand, and about objects that were broken on
//! purpose ([`broken`]).

mod broken;
mod bus;
mod document;
mod network;
mod objects;
mod pod;
mod pods;
mod rendered;
mod renderer;
mod scaling;
mod schema;
mod scraped;
mod selectors;
mod service;
mod started;

use objects::Overlay;

/// Every overlay.
const OVERLAYS: [&str; 2] = ["kafka", "rabbitmq"];

/// All that is wrong with the objects, as far as it shows without starting anything.
fn findings(overlay: &Overlay) -> Vec<String> {
    [
        schema::findings(overlay),
        selectors::findings(overlay),
        pods::findings(overlay),
        scaling::findings(overlay),
        network::findings(overlay),
    ]
    .concat()
}

#[test]
fn files_hold() {
    for name in OVERLAYS {
        let overlay = Overlay::of_files(name);
        assert!(overlay.objects.len() > 20, "only {} objects were read", overlay.objects.len());
        let found = findings(&overlay);
        assert!(found.is_empty(), "overlay {name}:\n{}", found.join("\n"));
    }
}
