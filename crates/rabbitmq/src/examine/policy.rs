//! What a policy does to queues whose records must stay until they are settled.

use serde_json::Value;
use trunkline_broker::Setting;
use trunkline_core::{Examination, Fault};

/// Where RabbitMQ counts a record's returns, we declare a limit that is never met; a policy with a lower one wins.
const NEVER: u64 = i32::MAX as u64;

/// Judges what the management API says of one queue. `delays` when it is one in which records wait for their time.
pub(super) fn judge(queue: &Value, delays: bool, found: &mut Examination<Setting>) {
    let name = queue["name"].as_str().unwrap_or_default();
    if queue["type"].as_str().is_some_and(|kind| kind != "quorum") {
        let kind = &queue["type"];
        let problem = format!(
            "queue `{name}` is of type {kind}, not a quorum queue: one node's loss loses its records"
        );
        let remedy = "stop what uses it, delete the queue when it is empty, and let a start make it again";
        found.error(Setting::Channels, Fault::Unsafe, problem, remedy);
    }
    for (key, value) in queue["effective_policy_definition"].as_object().into_iter().flatten() {
        let Some((is_error, harm)) = harm(key, value, delays) else { continue };
        let policy = policy_of(queue);
        let problem = format!("{policy} sets `{key}: {value}` on queue `{name}`: {harm}");
        let remedy = format!(
            "have no policy with `{key}` match the queues that begin with `channels.prefix` \
             (`rabbitmqctl list_policies`, `list_operator_policies`)"
        );
        if is_error {
            found.error(Setting::Channels, Fault::Unsafe, problem, remedy);
        } else {
            found.warning(Setting::Channels, Fault::Unsafe, problem, remedy);
        }
    }
    judge_members(name, queue, found);
}

/// Whether a key of a policy loses records (`true`) or refuses them, and how.
fn harm(key: &str, value: &Value, delays: bool) -> Option<(bool, &'static str)> {
    Some(match key {
        "message-ttl" if delays => (true, "retries come before their time"),
        "message-ttl" => (true, "records older than that are lost, settled or not"),
        "expires" => (true, "the queue is deleted with all it holds when nobody uses it for that long"),
        "delivery-limit" if value.as_u64().is_some_and(|limit| limit < NEVER) => {
            (true, "a record that was given back more often than that is lost")
        }
        "max-length" | "max-length-bytes" => {
            (false, "what is beyond is refused, and publishers are told that the broker is full")
        }
        _ => return None,
    })
}

fn policy_of(queue: &Value) -> String {
    let named = |key: &str| queue[key].as_str().filter(|name| !name.is_empty());
    match (named("policy"), named("operator_policy")) {
        (Some(policy), None) => format!("policy `{policy}`"),
        (None, Some(policy)) => format!("operator policy `{policy}`"),
        (Some(policy), Some(operator)) => format!("policy `{policy}` or operator policy `{operator}`"),
        (None, None) => "a policy".to_owned(),
    }
}

/// A quorum queue takes records while most of its members are there.
fn judge_members(name: &str, queue: &Value, found: &mut Examination<Setting>) {
    let count = |key: &str| queue[key].as_array().map(Vec::len);
    let (Some(members), Some(online)) = (count("members"), count("online")) else { return };
    if online == members {
        return;
    }
    let problem = format!("of {members} members of queue `{name}` {online} are there");
    let remedy = "bring back the nodes that are away (`rabbitmq-queues quorum_status`)";
    if online * 2 <= members {
        let problem = format!("{problem}: it takes and gives nothing");
        found.error(Setting::Address, Fault::Unreachable, problem, remedy);
    } else {
        found.warning(Setting::Address, Fault::Unsafe, problem, remedy);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trunkline_core::config::Severity;

    use super::*;

    #[track_caller]
    fn check(queue: Value, delays: bool, expected: &[(Severity, &str)]) {
        let mut found = Examination::default();
        judge(&queue, delays, &mut found);
        let told: Vec<_> = found.findings.iter().map(|one| (one.severity, one.problem.as_str())).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for ((severity, problem), (wanted, part)) in told.iter().zip(expected) {
            assert!(severity == wanted && problem.contains(part), "{problem} lacks {part}");
        }
    }

    #[test]
    fn policies_that_lose_records_are_told_from_those_that_refuse_them() {
        let with = |policy: Value| json!({ "name": "events:router:0", "type": "quorum", "policy": "p", "effective_policy_definition": policy });
        check(with(json!({})), false, &[]);
        // RabbitMQ's own way to say that there is none.
        check(with(json!([])), false, &[]);
        check(with(json!({ "delivery-limit": i32::MAX, "queue-leader-locator": "balanced" })), false, &[]);
        check(
            with(json!({ "delivery-limit": 20 })),
            false,
            &[(Severity::Error, "policy `p` sets `delivery-limit: 20`")],
        );
        check(with(json!({ "message-ttl": 1000 })), false, &[(Severity::Error, "are lost")]);
        check(with(json!({ "message-ttl": 1000 })), true, &[(Severity::Error, "before their time")]);
        check(with(json!({ "max-length": 5 })), false, &[(Severity::Warning, "is refused")]);
    }

    #[test]
    fn a_queue_needs_most_of_its_members() {
        let with = |online: Value| json!({ "name": "q", "type": "quorum", "members": ["a", "b", "c"], "online": online });
        check(with(json!(["a", "b", "c"])), false, &[]);
        check(with(json!(["a", "b"])), false, &[(Severity::Warning, "2 are there")]);
        check(with(json!(["a"])), false, &[(Severity::Error, "takes and gives nothing")]);
        check(json!({ "name": "q", "type": "classic" }), false, &[(Severity::Error, "not a quorum queue")]);
    }
}
