//! What happens in the demo.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::account::Account;
use super::senders::{self, Answer, Order};
use super::stage::Stage;
use super::story::{self, Mood};
use crate::commands::replay::Progress;

/// The order that is told of by name.
const FIRST: Order = Order { number: 1001, total: 14_900, is_paid: true, has_email: true };
/// How many follow it, one request each, so many at once.
const BURST: u64 = 200;
const AT_ONCE: usize = 32;
/// The payment and the product besides the orders.
const OTHERS: u64 = 2;

/// Plays the whole story; whether it ended as it should: everything settled, the account balanced, dead letters left only
/// where the ERP keeps failing.
pub(super) async fn play(stage: &Stage, keep_failing: bool) -> anyhow::Result<bool> {
    story::opening(stage);
    webhooks_come_in(stage).await?;
    let accepted = 1 + BURST + OTHERS;
    let account = Account::settled(stage, accepted).await?;
    deliveries_go_out(stage, &account)?;
    let account = if keep_failing {
        story::act(
            "The ERP keeps failing: its deliveries stay dead letters until somebody replays or discards them",
        );
        account
    } else {
        dead_letters_live_again(stage).await?;
        Account::settled(stage, accepted).await?
    };
    one_event_explained(stage).await?;
    story::act("The account");
    story::account(&account);
    let dead = account.deliveries("dead");
    Ok(account.is_settled(accepted) && (dead > 0) == keep_failing)
}

async fn webhooks_come_in(stage: &Stage) -> anyhow::Result<()> {
    story::act("Webhooks come in, signed as the platforms sign them");
    let secret = &stage.secrets.shop;
    told(senders::order(stage, FIRST, secret).await?, "the shop: order #1001, paid, 149.00 EUR");
    told(
        senders::payment(stage, FIRST.number, FIRST.total).await?,
        "the payment platform: payment of 149.00 EUR succeeded",
    );
    told(senders::product(stage).await?, "the shop: a product has changed, which nobody subscribes to");
    told(
        senders::order(stage, FIRST, secret).await?,
        "the shop: order #1001 once more, because it missed our answer",
    );
    told(
        senders::order(stage, FIRST, "a guess").await?,
        "somebody: order #1001 with a signature that is not the shop's",
    );
    let began = Instant::now();
    let orders = (1..=BURST).map(|more| Order::of_the_burst(FIRST.number + more));
    let sent =
        stream::iter(orders).map(|order| senders::order(stage, order, secret)).buffer_unordered(AT_ONCE);
    let answers: Vec<Answer> = sent.try_collect().await?;
    let accepted = answers.iter().filter(|answer| answer.status.is_success()).count();
    let (mood, took) = (if accepted == answers.len() { Mood::Good } else { Mood::Bad }, began.elapsed());
    let detail =
        format!("{accepted} of {BURST} more orders, one request each, in {:.2} s", took.as_secs_f64());
    story::line(mood, "accepted", &detail);
    Ok(())
}

fn told(answer: Answer, what: &str) {
    let status = answer.status.as_u16();
    let (mood, word) = match (answer.status.is_success(), answer.is_duplicate) {
        (true, false) => (Mood::Good, "accepted"),
        (true, true) => (Mood::Plain, "duplicate"),
        (false, _) => (Mood::Bad, "refused"),
    };
    story::line(mood, word, &format!("{status}  {what}"));
}

fn deliveries_go_out(stage: &Stage, account: &Account) -> anyhow::Result<()> {
    story::act("Subscriptions decide, destinations are tried and tried again, the ERP fails");
    let (routed, filtered) = (account.events("routed"), account.events("filtered"));
    let made = account.deliveries("made");
    story::line(
        Mood::Good,
        "routed",
        &format!("{routed} events became {made} deliveries; {filtered} matched no subscription"),
    );
    let platforms = &stage.platforms;
    let (verified, unverified) = (platforms.verified(), platforms.unverified());
    let all = std::iter::once(FIRST).chain((1..=BURST).map(|more| Order::of_the_burst(FIRST.number + more)));
    let expected = all.filter(|order| order.is_of_a_big_spender()).count();
    let is_well = unverified == 0 && verified >= expected as u64;
    let mood = if is_well { Mood::Good } else { Mood::Bad };
    let detail = format!(
        "crm: {verified} of {expected} paid orders above 100.00 EUR; the CRM found {unverified} signatures wrong"
    );
    story::line(mood, "delivered", &detail);
    let lines = std::fs::read_to_string(stage.ledger()).unwrap_or_default().lines().count();
    story::line(
        Mood::Good,
        "delivered",
        &format!("ledger: {lines} payment, a line in {}", stage.ledger().display()),
    );
    let (failed, dead) = (platforms.failed(), account.deliveries("dead"));
    let detail = format!("erp: {dead} deliveries, after {failed} requests that the ERP answered 503");
    story::line(Mood::Bad, "dead", &detail);
    Ok(())
}

async fn dead_letters_live_again(stage: &Stage) -> anyhow::Result<()> {
    story::act("The ERP works again: its dead letters are replayed");
    stage.platforms.mend_erp();
    let api = stage.api();
    let following = async {
        // The last dead letters may be on their way to the store when the first replay begins: they get one of their own.
        loop {
            let replay = api.post("/api/v1/replays", &json!({ "filter": { "destination": "erp" } })).await?;
            let path = format!("/api/v1/replays/{}", replay["id"].as_str().unwrap_or_default());
            let progress = loop {
                let progress = Progress::of(&api.get(&path, &[]).await?);
                if progress.is_over() {
                    break progress;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            if stage.platforms.orders() as u64 >= stage.platforms.failed() / 3 || progress.dead_again > 0 {
                return anyhow::Ok(progress);
            }
        }
    };
    let progress = tokio::time::timeout(Duration::from_secs(30), following).await??;
    let mood = if progress.dead_again == 0 { Mood::Good } else { Mood::Bad };
    story::line(
        mood,
        "replayed",
        &format!("{}; the ERP has {} orders", progress.words(), stage.platforms.orders()),
    );
    Ok(())
}

/// The way of the first order, its repeated steps told once.
async fn one_event_explained(stage: &Stage) -> anyhow::Result<()> {
    story::act("Every event can say where it is: trunkline explain demo-order-1001");
    let query =
        [("id".to_owned(), format!("demo-order-{}", FIRST.number)), ("source".to_owned(), "shop".to_owned())];
    let journey = stage.api().get("/api/v1/explain", &query).await?;
    let steps = journey["steps"].as_array().map_or(&[][..], Vec::as_slice);
    for destination in ["crm", "erp"] {
        let concerns = |step: &&Value| {
            step["destination"].is_null() || step["destination"] == "" || step["destination"] == destination
        };
        let mut words: Vec<String> = Vec::new();
        for step in steps.iter().filter(concerns) {
            let status = step["status"].as_u64().map_or(String::new(), |status| format!(" {status}"));
            words.push(format!("{}{status}", step["step"].as_str().unwrap_or_default()));
        }
        story::line(Mood::Plain, destination, &words.join(", "));
    }
    Ok(())
}
