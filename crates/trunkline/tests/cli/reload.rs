//! A changed configuration: followed when it holds, refused whole when it does not.

use std::fs;

use crate::binary::{Folder, configuration, until};

fn subscriptions(destination: &str) -> String {
    format!(
        "
destinations:
  first: {{ adapter: file, settings: {{ path: first.jsonl }} }}
  second: {{ adapter: file, settings: {{ path: second.jsonl }} }}
subscriptions:
  all: {{ match: {{}}, to: {destination} }}
"
    )
}

fn publish(folder: &Folder, id: &str) {
    let event = format!(r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t"}}"#);
    folder.write("event.json", &event);
    folder.run(&["publish", "event.json"]).ok();
}

fn holds(folder: &Folder, file: &str, id: &str) -> bool {
    fs::read_to_string(folder.path().join(file)).is_ok_and(|text| text.contains(&format!("\"{id}\"")))
}

#[test]
fn a_changed_file_is_followed_when_it_holds_and_refused_when_it_does_not() {
    let (head, admin) = configuration("");
    let folder = Folder::new(&format!("{head}{}", subscriptions("first")));
    let up = folder.up(admin);
    publish(&folder, "one");
    until(|| holds(&folder, "first.jsonl", "one"));

    folder.write("trunkline.yaml", &format!("{head}{}", subscriptions("thrid")));
    until(|| folder.log().contains("the changed configuration is not valid; everything stays as it was"));
    assert!(folder.log().contains("there is no destination `thrid`"), "{}", folder.log());
    publish(&folder, "two");
    until(|| holds(&folder, "first.jsonl", "two"));

    let changed =
        format!("{}{}", head.replace("console: {", "console: { max_replays: 7,"), subscriptions("second"));
    folder.write("trunkline.yaml", &changed);
    until(|| folder.log().contains("the rule set was replaced"));
    assert!(folder.log().contains("restart needed"), "{}", folder.log());
    publish(&folder, "three");
    until(|| holds(&folder, "second.jsonl", "three"));
    assert!(!holds(&folder, "first.jsonl", "three"));

    let added = changed.replace(
        "subscriptions:",
        "  third: { adapter: file, settings: { path: third.jsonl } }\nsubscriptions:",
    );
    folder.write("trunkline.yaml", &added.replace("to: second", "to: third"));
    until(|| folder.log().matches("the rule set was replaced").count() == 2);
    publish(&folder, "four");
    until(|| holds(&folder, "third.jsonl", "four"));
    assert_eq!(up.terminate(), 0);
}
