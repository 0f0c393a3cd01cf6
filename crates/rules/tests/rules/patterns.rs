//! What each operator means.

use trunkline_core::EventView;
use trunkline_core::TypeCatalogue;
use trunkline_core::config::{Diagnostics, parse};
use trunkline_rules::Pattern;
use trunkline_rules::pattern::Unmatched;

use crate::{event, unreadable};

#[track_caller]
fn pattern(yaml: &str) -> Pattern {
    let mut diagnostics = Diagnostics::new();
    let pattern = Pattern::read(&parse("p.yaml", yaml).unwrap(), &mut diagnostics);
    pattern.unwrap_or_else(|| panic!("{:?}", diagnostics.into_sorted()))
}

/// Each data is asked; those in `yes` match, those in `no` do not.
#[track_caller]
fn check(yaml: &str, yes: &[&str], no: &[&str]) {
    let pattern = pattern(yaml);
    let catalogue = TypeCatalogue::canonical();
    for (expected, data) in yes.iter().map(|data| (true, data)).chain(no.iter().map(|data| (false, data))) {
        let event = event("order.created", data);
        let view = EventView::new(&event, &catalogue);
        assert_eq!(pattern.evaluate(&view).is_ok(), expected, "{yaml} on {data}");
        assert_eq!(pattern.matches(&view), Ok(expected), "{yaml} on {data}");
    }
}

#[test]
fn exact_values_are_typed() {
    check(
        "data: { a: [x, y] }",
        &[r#"{"a":"x"}"#, r#"{"a":"y"}"#],
        &[r#"{"a":"z"}"#, r#"{"a":null}"#, "{}", "[]"],
    );
    check(
        "data: { a: [1] }",
        &[r#"{"a":1}"#, r#"{"a":1.0}"#],
        &[r#"{"a":"1"}"#, r#"{"a":1.5}"#, r#"{"a":true}"#],
    );
    check("data: { a: [true] }", &[r#"{"a":true}"#], &[r#"{"a":false}"#, r#"{"a":"true"}"#]);
    check("data: { a: [null] }", &[r#"{"a":null}"#], &["{}", r#"{"a":"null"}"#, r#"{"a":[]}"#]);
    check("data: [5]", &["5", "[4,5]"], &["6", r#"{"a":5}"#]);
    check("{}", &["1", "{}"], &[]);
}

#[test]
fn integers_above_two_to_53_are_distinct() {
    check("data: { a: [9007199254740993] }", &[r#"{"a":9007199254740993}"#], &[r#"{"a":9007199254740992}"#]);
    check(
        r#"data: { a: [{ numeric: [">", 9007199254740992] }] }"#,
        &[r#"{"a":9007199254740993}"#],
        &[r#"{"a":9007199254740992}"#, r#"{"a":9007199254740992.0}"#],
    );
}

#[test]
fn text_operators() {
    check("data: { a: [{ prefix: ab }] }", &[r#"{"a":"abc"}"#], &[r#"{"a":"bab"}"#, r#"{"a":1}"#]);
    check("data: { a: [{ suffix: .png }] }", &[r#"{"a":"x.png"}"#], &[r#"{"a":"x.PNG"}"#]);
    check(
        "data: { a: [{ prefix: { equals-ignore-case: Ö } }] }",
        &[r#"{"a":"öx"}"#, r#"{"a":"Öx"}"#],
        &[r#"{"a":"ox"}"#],
    );
    check(
        "data: { a: [{ suffix: { equals-ignore-case: .PNG } }] }",
        &[r#"{"a":"x.png"}"#],
        &[r#"{"a":"png"}"#],
    );
    check("data: { a: [{ equals-ignore-case: alice }] }", &[r#"{"a":"ALICE"}"#], &[r#"{"a":"ALICE "}"#]);
    check(r"data: { a: [{ wildcard: 'a*\*' }] }", &[r#"{"a":"ab*"}"#], &[r#"{"a":"ab"}"#]);
    check(
        "data: { a: [{ cidr: 10.0.0.0/24 }] }",
        &[r#"{"a":"10.0.0.7"}"#],
        &[r#"{"a":"10.0.1.7"}"#, r#"{"a":"x"}"#],
    );
    check("data: { a: [{ cidr: '2001:db8::/32' }] }", &[r#"{"a":"2001:db8::1"}"#], &[r#"{"a":"10.0.0.1"}"#]);
}

#[test]
fn numbers_in_ranges() {
    check(
        r#"data: { a: [{ numeric: [">", 0, "<=", 10.5] }] }"#,
        &[r#"{"a":10.5}"#, r#"{"a":1}"#],
        &[r#"{"a":0}"#, r#"{"a":11}"#, r#"{"a":"5"}"#],
    );
    check(r#"data: { a: [{ numeric: ["=", 3] }] }"#, &[r#"{"a":3.0}"#], &[r#"{"a":3.1}"#]);
}

#[test]
fn presence_and_its_opposites() {
    check(
        "data: { a: [{ exists: true }] }",
        &[r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":{}}"#],
        &["{}"],
    );
    check(
        "data: { a: { b: [{ exists: false }] } }",
        &["{}", r#"{"a":1}"#, r#"{"a":{"c":1}}"#],
        &[r#"{"a":{"b":1}}"#],
    );
    check(
        "data: { a: [{ anything-but: [x, 1] }] }",
        &[r#"{"a":"y"}"#, r#"{"a":2}"#, r#"{"a":null}"#],
        &["{}", r#"{"a":"x"}"#, r#"{"a":1.0}"#],
    );
    check("data: { a: [{ anything-but: [null] }] }", &[r#"{"a":0}"#], &[r#"{"a":null}"#, "{}"]);
    check(
        "data: { a: [{ anything-but: { prefix: [x, y] } }] }",
        &[r#"{"a":"z"}"#],
        &[r#"{"a":"x1"}"#, r#"{"a":"y"}"#],
    );
    check("data: { a: [{ anything-but: { wildcard: '*x*' } }] }", &[r#"{"a":"abc"}"#], &[r#"{"a":"axc"}"#]);
}

#[test]
fn arrays_match_by_one_element() {
    check(
        "data: { a: [x] }",
        &[r#"{"a":["y","x"]}"#, r#"{"a":[["x"]]}"#],
        &[r#"{"a":["y"]}"#, r#"{"a":[]}"#],
    );
    check(
        "data: { items: { sku: [A], quantity: [2] } }",
        &[r#"{"items":[{"sku":"B","quantity":2},{"sku":"A","quantity":2}]}"#],
        &[r#"{"items":[{"sku":"A","quantity":1},{"sku":"B","quantity":2}]}"#],
    );
}

#[test]
fn alternatives() {
    check(
        r#"{ $or: [{ data: { a: [1] } }, { source: [nowhere] }], type: [order.created] }"#,
        &[r#"{"a":1}"#],
        &[r#"{"a":2}"#],
    );
    check(
        "data: { $or: [{ a: [1] }, { b: [1] }], c: [1] }",
        &[r#"{"b":1,"c":1}"#],
        &[r#"{"b":1}"#, r#"{"c":1}"#],
    );
}

#[test]
fn the_envelope() {
    check(
        "{ id: ['1'], source: [{ suffix: op }], subject: [{ exists: false }], time: [{ exists: false }] }",
        &["1"],
        &[],
    );
    check("{ ext: { tenant: [{ exists: false }] } }", &["1"], &[]);
    check("{ ext: { tenant: [a] } }", &[], &["1"]);
}

#[test]
fn a_mismatch_names_the_first_predicate_that_failed() {
    #[track_caller]
    fn said(yaml: &str, data: &str, expected: &str) {
        let event = event("order.created", data);
        let catalogue = TypeCatalogue::canonical();
        match pattern(yaml).evaluate(&EventView::new(&event, &catalogue)) {
            Err(Unmatched::Mismatch(mismatch)) => {
                assert_eq!(format!("{} {mismatch}", mismatch.place), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    said(
        "type: [order.created]\ndata:\n  total:\n    minor_units: [{ numeric: ['>', 10000] }]",
        r#"{"total":{"minor_units":4200}}"#,
        "p.yaml:4:18 data.total.minor_units: expected > 10000, found 4200",
    );
    said(
        "data: { a: [x, { prefix: y }] }",
        "{}",
        r#"p.yaml:1:12 data.a: expected "x" or text beginning with "y", found nothing"#,
    );
    said(
        "{ data: { a: [1] }, type: [other] }",
        "{}",
        r#"p.yaml:1:27 type: expected "other", found "order.created""#,
    );
    said(
        "$or: [{ id: [a] }, { id: [b] }]",
        "{}",
        "p.yaml:1:6 $or: expected one of 2 alternatives, found none in event `1`",
    );
}

#[test]
fn unreadable_data_leaves_open_only_what_depends_on_it() {
    #[track_caller]
    fn said(yaml: &str, expected: Option<bool>) {
        let event = unreadable("order.created");
        let catalogue = TypeCatalogue::canonical();
        assert_eq!(pattern(yaml).matches(&EventView::new(&event, &catalogue)).ok(), expected, "{yaml}");
    }
    said("type: [order.created]", Some(true));
    said("{ type: [other], data: { a: [1] } }", Some(false));
    said("{ type: [order.created], data: { a: [1] } }", None);
    said("$or: [{ data: { a: [1] } }, { id: ['1'] }]", Some(true));
    said("{ $or: [{ data: { a: [1] } }, { id: [no] }], source: [other] }", Some(false));
    said("$or: [{ data: { a: [1] } }, { id: [no] }]", None);
}
