//! The account: whether everything that was accepted is somewhere.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use trunkline_sdk::broker::{Broker, ChannelName, GroupName};
use trunkline_sdk::store::{DestinationState, OnTheBroker};

use super::problem::Problem;
use super::{Console, Operation, read};

pub(super) fn operations() -> Vec<Operation> {
    vec![read(
        "/api/v1/account",
        "What became of everything that was accepted, and whether it balances",
        &[],
        || get(account),
    )]
}

async fn account(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    // The broker is asked first: what moves in between is then counted twice rather than not at all, and a balance that
    // holds at rest can't be feigned.
    let on_the_broker = on_the_broker(&console).await?;
    let account = console.store.account().await?;
    let balance = account.check(on_the_broker);
    Ok(Json(json!({
        "events": {
            "accepted": account.accepted,
            "duplicate": account.duplicate,
            "routed": account.routed,
            "filtered": account.filtered,
            "undecodable": account.undecodable,
            "waiting": on_the_broker.events,
        },
        "deliveries": {
            "made": account.made,
            "delivered": account.delivered,
            "dead": account.dead + on_the_broker.dead,
            "discarded": account.discarded,
            "in_flight": on_the_broker.in_flight,
            "held": on_the_broker.held,
            "attempts": account.attempts,
            "replayed": account.replayed,
        },
        "balanced": balance.is_ok(),
        "imbalance": balance.err().map(|imbalance| imbalance.to_string()),
    })))
}

async fn on_the_broker(console: &Console) -> Result<OnTheBroker, Problem> {
    let shared = console.configuration.borrow().clone();
    let states = console.store.destination_states().await?;
    let broker = console.broker.as_ref();
    let mut on = OnTheBroker {
        events: lag(broker, &ChannelName::events(), &GroupName::router()).await?,
        ..OnTheBroker::default()
    };
    for name in shared.destinations.keys() {
        let waiting = lag(broker, &ChannelName::deliver(name), &GroupName::dispatcher()).await?;
        let open = states
            .iter()
            .find(|(other, _)| other == name.as_str())
            .is_none_or(|(_, state)| matches!(state, DestinationState::Open));
        *(if open { &mut on.in_flight } else { &mut on.held }) += waiting;
        on.dead += lag(broker, &ChannelName::dead(name), &GroupName::console()).await?;
    }
    Ok(on)
}

pub(super) async fn lag(
    broker: &dyn Broker,
    channel: &ChannelName,
    group: &GroupName,
) -> Result<u64, Problem> {
    let lag = broker.lag(channel, group).await;
    let lag =
        lag.map_err(|error| Problem::unavailable(format!("The broker does not tell the lag: {error}.")))?;
    Ok(lag.iter().map(|lag| lag.records).sum())
}
