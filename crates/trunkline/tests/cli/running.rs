//! The commands that speak to a running `up`.

use std::fs;

use serde_json::Value;

use crate::binary::{Folder, configuration, until};

/// A transform that fails where there is no `total`, so that there are dead letters without any platform.
const SUBSCRIPTIONS: &str = r#"
destinations:
  archive: { adapter: file, settings: { path: archive.jsonl } }
subscriptions:
  totals:
    match: { source: [shop] }
    transform: |
      { "total": to_int!(.data.total) }
    to: archive
"#;

fn events(folder: &Folder) {
    let event = |id: &str, total: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"shop","type":"order.paid","data":{{"total":{total}}}}}"#
        )
    };
    folder.write("events.json", &format!("[{},{}]", event("good-1", "7"), event("bad-1", "\"seven\"")));
}

fn cell<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap()
}

#[test]
fn an_event_is_published_followed_dead_lettered_and_replayed() {
    let (text, admin) = configuration(SUBSCRIPTIONS);
    let folder = Folder::new(&text);
    let up = folder.up(admin);
    events(&folder);
    let published = folder.run(&["publish", "events.json", "--json"]).ok().json();
    assert_eq!((&published[0]["accepted"], &published[0]["duplicates"]), (&2.into(), &0.into()));
    let again = folder.run(&["publish", "events.json"]).ok();
    assert_eq!(again.stdout, "0 accepted, 2 seen before and not accepted twice\n");

    let tailed = folder.run(&["tail", "--oldest", "--limit", "2", "--json"]).ok().json();
    let mut ids: Vec<&str> = tailed.iter().map(|line| cell(&line["event"], "id")).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["bad-1", "good-1"]);

    until(|| folder.run(&["dlq", "list", "--json"]).ok().json().len() == 1);
    let dead = &folder.run(&["dlq", "list", "--json"]).json()[0];
    assert_eq!((cell(dead, "event_id"), cell(dead, "reason")), ("bad-1", "transform_failed"));
    let id = cell(dead, "id");
    let groups = folder.run(&["dlq", "list", "--group", "--json"]).ok().json();
    assert_eq!((groups.len(), &groups[0]["count"]), (1, &1.into()));
    let shown = folder.run(&["dlq", "show", id]).ok().stdout;
    assert!(shown.contains("transform_failed") && shown.contains("\"total\": \"seven\""), "{shown}");
    assert_eq!(
        folder.run(&["dlq", "list", "--destination", "archive", "--status", "503"]).ok().stdout,
        "no dead letters\n"
    );

    until(|| folder.run(&["explain", "good-1"]).stdout.contains("delivered"));
    let steps = folder.run(&["explain", "bad-1", "--json"]).ok().json();
    let steps: Vec<&str> =
        steps[0]["steps"].as_array().unwrap().iter().map(|step| cell(step, "step")).collect();
    assert!(steps.contains(&"accepted") && steps.contains(&"dead"), "{steps:?}");
    assert_eq!(folder.run(&["explain", "never-seen"]).code, 1);
    assert_eq!(fs::read_to_string(folder.path().join("archive.jsonl")).unwrap(), "{\"total\":7}\n");

    let dry = folder.run(&["dlq", "replay", id, "--dry-run"]).ok();
    assert_eq!(dry.stdout, "1 would be replayed\n");
    // Today's transform is the one that failed: there is nothing to send, and that is not a success.
    let replayed = folder.run(&["dlq", "replay", "--destination", "archive"]);
    assert_eq!(replayed.code, 1, "{replayed:#?}");
    assert!(replayed.stdout.ends_with("0 delivered, 0 dead again, 1 not sent\n"), "{replayed:#?}");

    discarded(&folder, "archive");
    assert_eq!(up.terminate(), 0);
}

fn discarded(folder: &Folder, destination: &str) {
    until(|| !folder.run(&["dlq", "list", "--json", "--state", "waiting"]).ok().json().is_empty());
    let discard = ["dlq", "discard", "--destination", destination, "--reason", "test orders"];
    let dry = folder.run(&[&discard[..], &["--dry-run"]].concat()).ok();
    assert_eq!(dry.stdout, "1 would be discarded\n");
    assert_eq!(folder.run(&discard).ok().stdout, "1 discarded\n");
    assert_eq!(folder.run(&discard).code, 1, "none is left");
}

#[test]
fn a_paused_destination_waits_until_it_is_resumed() {
    let (text, admin) = configuration(SUBSCRIPTIONS);
    let folder = Folder::new(&text);
    let _up = folder.up(admin);
    let paused = folder.run(&["pause", "archive", "--reason", "stocktaking", "--json"]).ok().json();
    assert_eq!((cell(&paused[0], "state"), cell(&paused[0], "by")), ("paused", "local"));
    // The dispatcher follows the state within a moment; what it delivers until then is no mistake.
    let listed = folder.run(&["destinations"]).ok().stdout;
    assert!(listed.contains("paused") && listed.contains("by local: stocktaking"), "{listed}");
    let resumed = folder.run(&["resume", "archive"]).ok().stdout;
    assert!(resumed.starts_with("archive is open"), "{resumed}");
    let unknown = folder.run(&["pause", "archiv"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("No destination `archiv` is configured; there are: archive."),
        "{}",
        unknown.stderr
    );
    assert_eq!(folder.run(&["tail", "nonsense"]).code, 1);
}
