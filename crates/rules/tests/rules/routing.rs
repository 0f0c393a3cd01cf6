//! Subscriptions together: conditions, failures, explanations, replays.

use trunkline_rules::{Outcome, RenderError, Stage};

use crate::{compile, event, unreadable};

const SET: &str = r#"
good:    { match: { type: [{ prefix: order. }] }, transform: '{ "id": .id, "n": .data.n }', to: crm }
picky:   { match: { type: [order.created] }, when: '.data.n == 1', to: erp }
broken:  { match: { type: [order.created] }, transform: '{ "n": to_int!(.data.n) }', to: erp }
unsure:  { match: { type: [order.created] }, when: 'to_int!(.data.n) > 0', to: helpdesk }
looking: { match: { type: [order.created], data: { n: [2] } }, to: helpdesk }
off:     { match: {}, to: crm, enabled: false }
other:   { match: { type: [nothing] }, to: crm }
"#;

fn names(event: &trunkline_core::Event) -> (Vec<String>, Vec<(String, Stage)>) {
    let routing = compile(SET).route(event);
    let matched = routing.matched.iter().map(|routed| routed.subscription.to_string()).collect();
    let failed =
        routing.failed.iter().map(|failure| (failure.subscription.to_string(), failure.stage)).collect();
    (matched, failed)
}

#[test]
fn one_failure_hides_nothing() {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (matched, failed) = names(&event("order.created", r#"{"n":1}"#));
    assert_eq!((matched, failed), (texts(&["broken", "good", "picky", "unsure"]), vec![]));
    let (matched, failed) = names(&event("order.created", r#"{"n":"x"}"#));
    assert_eq!(matched, texts(&["good"]));
    assert_eq!(failed, [("broken".to_owned(), Stage::Transform), ("unsure".to_owned(), Stage::Condition)]);
    let (matched, failed) = names(&event("order.paid", r#"{"n":"x"}"#));
    assert_eq!((matched, failed), (texts(&["good"]), vec![]));
}

#[test]
fn unreadable_data_fails_those_that_look_into_it() {
    let (matched, failed) = names(&unreadable("order.created"));
    assert_eq!(matched, Vec::<String>::new());
    let stages: Vec<_> = failed.iter().map(|(name, stage)| (name.as_str(), *stage)).collect();
    assert_eq!(
        stages,
        [
            ("broken", Stage::Transform),
            ("good", Stage::Transform),
            ("looking", Stage::Pattern),
            ("picky", Stage::Condition),
            ("unsure", Stage::Condition),
        ]
    );
}

#[test]
fn everything_is_explained() {
    let set = compile(SET);
    let outcomes: Vec<_> = set
        .explain(&event("order.created", r#"{"n":"x"}"#))
        .into_iter()
        .map(|explanation| {
            let outcome = match explanation.outcome {
                Outcome::Matched { body } => {
                    format!(
                        "matched {}",
                        body.map_or_else(String::new, |body| String::from_utf8_lossy(&body.bytes)
                            .into_owned())
                    )
                }
                Outcome::PatternMismatch(mismatch) => mismatch.to_string(),
                Outcome::ConditionFalse => "condition false".to_owned(),
                Outcome::Failed { stage, .. } => format!("failed in {stage}"),
                Outcome::Disabled => "disabled".to_owned(),
            };
            format!("{}: {outcome}", explanation.subscription)
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "broken: failed in transform",
            r#"good: matched {"id":"1","n":"x"}"#,
            r#"looking: data.n: expected 2, found "x""#,
            "off: disabled",
            r#"other: type: expected "nothing", found "order.created""#,
            "picky: condition false",
            "unsure: failed in when",
        ]
    );
}

#[test]
fn a_replay_asks_neither_pattern_nor_condition() {
    let set = compile(SET);
    let body = set.render("good", &event("quite.another", r#"{"n":7}"#)).unwrap().unwrap();
    assert_eq!(
        (&body.bytes[..], body.content_type.as_str()),
        (&br#"{"id":"1","n":7}"#[..], "application/json")
    );
    assert_eq!(set.render("picky", &event("quite.another", "{}")), Ok(None));
    assert_eq!(set.render("gone", &event("a", "{}")), Err(RenderError::Unknown("gone".to_owned())));
    assert!(matches!(set.render("broken", &event("a", r#"{"n":{}}"#)), Err(RenderError::Failed(_))));
}

#[test]
fn the_version_is_about_content_only() {
    let version = |yaml: &str| compile(yaml).version().to_owned();
    let first = version("a: { match: { type: [x] }, to: crm }\nb: { match: {}, to: erp }");
    assert_eq!(first.len(), 16);
    assert_eq!(
        first,
        version("# a comment\nb: { to: erp, match: {} }\n\na:\n  match: { type: [\"x\"] }\n  to: crm\n")
    );
    assert_ne!(first, version("a: { match: { type: [y] }, to: crm }\nb: { match: {}, to: erp }"));
    assert_ne!(first, trunkline_rules::RuleSet::empty().version());
}
