//! The index against the evaluator, on whatever proptest thinks of.

use proptest::prelude::*;
use trunkline_core::{Event, EventView, TypeCatalogue};

use crate::{compile, unreadable};

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (0..4_i64).prop_map(|number| number.to_string()),
        Just("1.5".to_owned()),
        Just("9007199254740993".to_owned()),
        "[ab]{1,2}".prop_map(|text| format!("\"{text}\"")),
    ]
}

fn alternative() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => scalar(),
        2 => "[ab]{0,2}".prop_map(|text| format!("{{\"prefix\":\"{text}\"}}")),
        1 => any::<bool>().prop_map(|wanted| format!("{{\"exists\":{wanted}}}")),
        1 => scalar().prop_map(|value| format!("{{\"anything-but\":[{value}]}}")),
        1 => (0..3_i64).prop_map(|low| format!("{{\"numeric\":[\">=\",{low}]}}")),
        1 => "[ab]".prop_map(|text| format!("{{\"wildcard\":\"*{text}*\"}}")),
    ]
}

fn list() -> impl Strategy<Value = String> {
    proptest::collection::vec(alternative(), 1..3).prop_map(|list| format!("[{}]", list.join(",")))
}

fn data_pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => list(), 1 => Just("[{\"exists\":true}]".to_owned())].boxed();
    leaf.prop_recursive(3, 12, 3, |inner| {
        let fields = proptest::collection::btree_map("[xy]", inner.clone(), 1..3);
        let or = proptest::collection::vec(fields.clone().prop_map(|fields| object(&fields)), 1..3);
        (fields, proptest::option::weighted(0.2, or)).prop_map(|(mut fields, or)| {
            fields.extend(or.map(|or| ("$or".to_owned(), format!("[{}]", or.join(",")))));
            object(&fields)
        })
    })
}

fn object(fields: &std::collections::BTreeMap<String, String>) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn pattern() -> impl Strategy<Value = String> {
    let maybe = |chance: f64| proptest::option::weighted(chance, list());
    let top =
        (maybe(0.7), maybe(0.3), maybe(0.2), maybe(0.2), proptest::option::weighted(0.7, data_pattern()));
    let one = top
        .prop_map(|(kind, source, subject, tenant, data)| {
            let mut fields = std::collections::BTreeMap::new();
            fields.extend(kind.map(|list| ("type".to_owned(), list)));
            fields.extend(source.map(|list| ("source".to_owned(), list)));
            fields.extend(subject.map(|list| ("subject".to_owned(), list)));
            fields.extend(tenant.map(|list| ("ext".to_owned(), format!("{{\"tenant\":{list}}}"))));
            fields.extend(data.map(|data| ("data".to_owned(), data)));
            fields
        })
        .boxed();
    (one.clone(), proptest::option::weighted(0.2, proptest::collection::vec(one, 1..3))).prop_map(
        |(mut fields, or)| {
            let or: Option<Vec<String>> =
                or.map(|or| or.iter().filter(|one| !one.is_empty()).map(object).collect());
            fields.extend(
                or.filter(|or| !or.is_empty()).map(|or| ("$or".to_owned(), format!("[{}]", or.join(",")))),
            );
            object(&fields)
        },
    )
}

fn json() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::btree_map("[xy]", inner, 0..3).prop_map(|fields| object(&fields)),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || proptest::option::of("[ab]{1,2}");
    ("[ab]{1,2}", "[ab]{1,2}", text(), text(), proptest::option::weighted(0.9, json())).prop_map(
        |(kind, source, subject, tenant, data)| {
            let mut builder = Event::builder("1", source, kind);
            if let Some(subject) = subject {
                builder = builder.subject(subject);
            }
            if let Some(tenant) = tenant {
                builder = builder.attribute("tenant", trunkline_core::event::Attribute::Text(tenant.into()));
            }
            match data {
                Some(data) => builder.json(data).build().unwrap(),
                None => builder.build().unwrap(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn routing_is_asking_every_subscription(
        patterns in proptest::collection::vec(pattern(), 1..25),
        events in proptest::collection::vec(any_event(), 1..8),
    ) {
        let yaml: Vec<String> = patterns.iter().enumerate()
            .map(|(at, pattern)| format!("\"s{at}\": {{\"match\": {pattern}, \"to\": \"crm\"}}")).collect();
        let set = compile(&format!("{{{}}}", yaml.join(",\n")));
        let reversed: Vec<String> = yaml.iter().rev().cloned().collect();
        let other = compile(&format!("{{{}}}", reversed.join(",\n")));
        prop_assert_eq!(set.version(), other.version());
        let catalogue = TypeCatalogue::canonical();
        for event in events.into_iter().chain([unreadable("a"), unreadable("ab")]) {
            let routing = set.route(&event);
            prop_assert_eq!(&routing, &other.route(&event));
            let view = EventView::new(&event, &catalogue);
            let (mut matched, mut failed) = (Vec::new(), Vec::new());
            for subscription in set.subscriptions() {
                match subscription.pattern().matches(&view) {
                    Ok(true) => matched.push(subscription.name().to_string()),
                    Ok(false) => {}
                    Err(_) => failed.push(subscription.name().to_string()),
                }
            }
            let names: Vec<String> = routing.matched.iter().map(|routed| routed.subscription.to_string()).collect();
            prop_assert_eq!(names, matched);
            let names: Vec<String> = routing.failed.iter().map(|failure| failure.subscription.to_string()).collect();
            prop_assert_eq!(names, failed);
        }
    }
}

#[test]
fn ten_thousand_subscriptions_that_share_a_prefix_and_differ_in_a_field() {
    let yaml: Vec<String> = (0..10_000)
        .map(|at| {
            format!("s{at}: {{ match: {{ type: [{{ prefix: commerce. }}], data: {{ lines: {{ sku: [sku-{at}] }} }} }}, to: crm }}")
        })
        .collect();
    let set = compile(&yaml.join("\n"));
    for at in [0, 1, 255, 256, 4_711, 9_999] {
        let other = (at + 1) % 10_000;
        let data = format!(r#"{{"lines":[{{"sku":"sku-{at}"}},{{"sku":"sku-{other}"}},{{"sku":"none"}}]}}"#);
        let routing = set.route(&crate::event("commerce.order.created", &data));
        let mut expected = [format!("s{at}"), format!("s{other}")];
        expected.sort();
        let names: Vec<_> = routing.matched.iter().map(|routed| routed.subscription.to_string()).collect();
        assert_eq!(names, expected);
        assert_eq!(set.route(&crate::event("payment.charge.created", &data)).matched, []);
    }
}
