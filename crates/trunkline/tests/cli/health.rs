//! `health` as the health check of a container: by exit code, with the reason in words.

use std::net::SocketAddr;
use std::process::Command;

use crate::binary::{Finished, Folder, addresses, configuration, finished, until};

fn health(folder: &Folder, admin: SocketAddr, more: &[&str]) -> Finished {
    let admin = admin.to_string();
    let mut command: Command = folder.command(&["health", "--admin", &admin]);
    // A proxy is not asked for the process's own machine.
    finished(command.args(more).env("http_proxy", "http://127.0.0.1:9"))
}

#[test]
fn a_process_is_well_when_all_its_services_are_ready() {
    let (text, admin) = configuration("");
    let folder = Folder::new(&text);
    let up = folder.up(admin);
    let well = health(&folder, admin, &[]).ok();
    assert_eq!(well.stdout, "console is ready, dispatcher is ready, gateway is ready, router is ready\n");
    // In a container a process listens on every address.
    let any = SocketAddr::new([0, 0, 0, 0].into(), admin.port());
    let told = health(&folder, any, &["--json"]).ok().json();
    assert_eq!((&told[0]["ready"], told[0]["services"].as_object().unwrap().len()), (&true.into(), 4));
    assert_eq!(up.terminate(), 0);
    let gone = health(&folder, admin, &[]);
    assert_eq!(gone.code, 4);
    assert!(gone.stdout.starts_with(&format!("no answer from {admin}: ")), "{gone:?}");
}

#[test]
fn a_process_that_waits_for_its_broker_says_so() {
    let [broker, store, admin] = addresses();
    let folder = Folder::new(&format!(
        "version: 1\nbroker: amqp://guest:guest@{broker}/%2f\nstore: postgres://bus@{store}/bus\nrouter: {{ admin: {admin} }}\n"
    ));
    let mut router = folder.command(&["run", "router", "--wait", "5m"]).spawn().unwrap();
    until(|| health(&folder, admin, &[]).stdout.contains("waiting for the broker"));
    let waiting = health(&folder, admin, &[]);
    router.kill().unwrap();
    router.wait().unwrap();
    assert_eq!((waiting.code, waiting.stdout.as_str()), (1, "router is not ready: waiting for the broker\n"));
}
