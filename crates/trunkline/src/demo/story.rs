//! How the demo tells what happens: plain lines, coloured where a person looks on.

use std::io::IsTerminal;

use super::account::Account;
use super::stage::Stage;
use crate::output;

/// How a line is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mood {
    Good,
    Bad,
    Plain,
}

/// Who is on stage.
pub(super) fn opening(stage: &Stage) {
    output::line(&bold("Trunkline demo: a shop and a payment platform in, a CRM, an ERP and a file out"));
    output::line(&format!("  configuration {}", output::shown(&stage.config.display().to_string())));
    output::line(&format!("  gateway http://{}, console http://{}", stage.gateway, stage.console));
}

/// A new part of the story.
pub(super) fn act(title: &str) {
    output::line(&bold(title));
}

/// One thing that happened.
pub(super) fn line(mood: Mood, what: &str, detail: &str) {
    let what = format!("{what:<10}");
    let what = match mood {
        Mood::Good => colour("32", &what),
        Mood::Bad => colour("31", &what),
        Mood::Plain => what,
    };
    output::line(&format!("  {what} {}", output::shown(detail)));
}

/// The account, as a sum of each side.
pub(super) fn account(account: &Account) {
    let (event, delivery) = (|name| account.events(name), |name| account.deliveries(name));
    output::line(&format!(
        "  events     {} accepted = {} routed + {} filtered + {} undecodable  (besides {} duplicate)",
        event("accepted"),
        event("routed"),
        event("filtered"),
        event("undecodable"),
        event("duplicate"),
    ));
    output::line(&format!(
        "  deliveries {} made = {} delivered + {} dead + {} discarded + {} in flight + {} held",
        delivery("made"),
        delivery("delivered"),
        delivery("dead"),
        delivery("discarded"),
        delivery("in_flight"),
        delivery("held"),
    ));
    if account.is_balanced() {
        line(Mood::Good, "balanced", "nothing accepted is lost, nothing is counted twice");
    } else {
        line(Mood::Bad, "unbalanced", &account.imbalance());
    }
}

/// What one can do while it is left running.
pub(super) fn keep(stage: &Stage) {
    act("It goes on until you press Ctrl-C; then its folder is removed. Try, in another terminal:");
    let config = output::shown(&stage.config.display().to_string());
    output::line(&format!("  export TRUNKLINE_CONFIG={config}"));
    for command in ["destinations", "dlq list --group", "explain demo-order-1001", "tail journey"] {
        output::line(&format!("  trunkline {command}"));
    }
    output::line(&format!("  curl http://{}/metrics", stage.admin));
    output::line(&format!("  and the console's pages: http://{}/", stage.console));
}

fn bold(text: &str) -> String {
    colour("1", text)
}

fn colour(code: &str, text: &str) -> String {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
