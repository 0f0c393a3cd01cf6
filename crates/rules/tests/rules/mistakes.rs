//! Every mistake is named with its place.

use trunkline_core::config::Severity;
use trunkline_rules::Limits;

use crate::try_compile;

/// The diagnostics of a set, as `line:column code message (hint)`.
#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    let (set, diagnostics) = try_compile(yaml, Limits::default());
    let errors = diagnostics.has_errors();
    assert_eq!(set.is_none(), errors);
    let said: Vec<String> = diagnostics
        .into_sorted()
        .iter()
        .map(|one| {
            let hint = one.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
            let warning = if one.severity == Severity::Warning { "warning " } else { "" };
            format!("{}:{} {warning}{} {}{hint}", one.place.line, one.place.column, one.code, one.message)
        })
        .collect();
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "said: {said}\nexpected: {expected}");
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn all_mistakes_of_a_set_at_once() {
    check(
        r#"one:
  match: { typ: [a], data: { n: [{ prefx: x }], m: 5, k: [] } }
  to: crmm
two:
  mach: {}
  to: [crm]
  enabled: maybe
three:
  match: { type: [commerce.order.created] }
  transform: |
    { "email": .data.customer.emial,
      "now": now() }
  to: crm
four: { match: {}, when: '.data.x =', to: crm }
Five: { match: {}, to: crm }
"#,
        &[
            "2:12 TL-R004 an event has no field `typ` (did you mean `type`?)",
            "2:36 TL-R004 unknown operator `prefx` (did you mean `prefix`?)",
            "2:52 TL-R003 values stand in a list (write `[5]`)",
            "2:58 TL-R003 an empty list matches nothing",
            "3:7 TL-R002 there is no destination `crmm` (did you mean `crm`?)",
            "5:3 TL-R001 `match` is missing",
            "5:3 TL-R001 a subscription has no `mach` (did you mean `match`?)",
            "6:7 TL-R002 `to` is the name of one destination",
            "7:12 TL-R001 `enabled` is true or false",
            "11:16 TL-R007 `.data.customer.emial` is in no type its events can have (trunkline.commerce.v1.Order) (did you mean `email`?)",
            "12:14 TL-R009 function `now` is not available here",
            "14:36 TL-R006",
            "15:7 TL-R001 `Five` is not 1 to 63 characters",
        ],
    );
}

#[test]
fn patterns() {
    check(
        "a: { match: { data: { n: [{ numeric: ['>', 5, '<', 5] }] } }, to: crm }",
        &["1:38 TL-R003 no number is > 5 and < 5"],
    );
    check(
        "a: { match: { data: { n: [{ numeric: ['!=', 5] }] } }, to: crm }",
        &["1:39 TL-R004 `!=` is no comparison (write `{ anything-but"],
    );
    check(
        "a: { match: { data: { n: [{ numeric: ['>', x] }] } }, to: crm }",
        &["1:44 TL-R003 a number is needed"],
    );
    check(
        "a: { match: { data: { n: [{ wildcard: 'a**' }] } }, to: crm }",
        &["1:39 TL-R003 two `*` in a row"],
    );
    check(
        "a: { match: { data: { n: [{ cidr: 10.0.0.0/99 }] } }, to: crm }",
        &["1:35 TL-R003 `10.0.0.0/99` is no network"],
    );
    check(
        "a: { match: { data: { n: [{ anything-but: { exists: true } }] } }, to: crm }",
        &["1:45 TL-R004 `anything-but` takes no `exists`"],
    );
    check("a: { match: { type: { prefix: x } }, to: crm }", &["1:21 TL-R003 `type` has no fields below it"]);
    check("a: { match: { $or: [] }, to: crm }", &["1:20 TL-R003 `$or` is a list of patterns"]);
}

#[test]
fn programs() {
    let order = |program: &str| {
        format!("a:\n  match: {{ type: [{{ prefix: commerce.order. }}] }}\n  to: crm\n{program}\n")
    };
    check(
        &order("  when: .data.email"),
        &["4:9 TL-R006 a condition must be true or false; this is string or null"],
    );
    check(&order("  transform: '.data.email = \"x\"'"), &["4:15 TL-R006"]);
    check(&order("  transform: 'del(.data.email)'"), &["4:15 TL-R006"]);
    check(
        &order("  transform: '{ \"a\": .dta }'"),
        &["4:22 TL-R007 an event has no `.dta` (did you mean `data`?)"],
    );
    check(
        &order("  transform: '{ \"a\": upcas(\"x\") }'"),
        &["4:22 TL-R009 there is no function `upcas` (did you mean `upcase`?)"],
    );
    check(
        &order("  transform: |\n    x = null\n    { \"a\": { \"b\": x } }"),
        &["6:19 TL-R008 field `a.b` can only be null"],
    );
    check(&order("  transform: '{ \"a\": null }'"), &[]);
    check(&order("  transform: '{ \"a\": .id * 3 ?? 1 }'"), &["4:22 TL-R006"]);
    check(&order("  transform: '{ \"a\": to_int(.data.email) }'"), &["4:22 TL-R006"]);
    check(
        &order("  transform: '{ \"a\": 1 }'\n  content_type: text/csv"),
        &["4:14 TL-R006 `content_type` is not JSON and needs text"],
    );
    check(&order("  content_type: text/csv"), &["4:17 TL-R001 `content_type` says what a transform makes"]);
    check(&order("  transform: '.id'\n  content_type: \"a b\""), &["5:17 TL-R001 not a media type"]);
    check(
        &order("  transform: '{ \"a\": .data.line_items.sku }'"),
        &["4:22 TL-R007 `.data.line_items.sku` is in no type"],
    );
    check(
        &order(
            "  transform: '{ \"a\": .data.line_items[0].sku, \"b\": .data.total.minor_units, \"c\": .data.metadata.anything }'",
        ),
        &[],
    );
}

#[test]
fn a_path_that_some_types_have_is_a_warning() {
    check(
        "a: { match: { type: [{ prefix: commerce.order. }, commerce.customer.created] }, transform: '{ \"a\": .data.number }', to: crm }",
        &[
            "1:100 warning TL-R007 `.data.number` is in trunkline.commerce.v1.Order, but not in trunkline.commerce.v1.Customer",
        ],
    );
    check(
        "a: { match: { type: [shopify.checkouts.create] }, transform: '{ \"a\": .data.anything.at.all }', to: crm }",
        &[],
    );
}
