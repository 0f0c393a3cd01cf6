//! `kill -9` (E1): what was confirmed is there, what was settled does not come again, nothing else is.
//!
//! `TRUNKLINE_ROUNDS` says how many kills, one without it; `TRUNKLINE_SEED` when they happen.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use trunkline_broker::{Broker, Intaken, Keep, Start};
use trunkline_embedded::{EmbeddedBroker, Options};

use crate::scene::{channel, group, number, open, options, record, take_all};

const DIRECTORY: &str = "TRUNKLINE_TEST_DIRECTORY";
const FROM: &str = "TRUNKLINE_TEST_FROM";

#[test]
fn a_killed_process_loses_nothing_it_confirmed() {
    let place = tempfile::tempdir().unwrap();
    let setting =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (setting("TRUNKLINE_ROUNDS", 1_u64), setting("TRUNKLINE_SEED", 7_u64));
    let mut state = History::default();
    for round in 0..rounds {
        let after = Duration::from_millis(150 + (seed + round).wrapping_mul(7919) % 400);
        let from = round * 1_000_000;
        state.run_child(place.path(), from, after);
        let found = read_all(place.path());
        state.check(&found, seed, round);
    }
}

/// What children said before they were killed.
#[derive(Default)]
struct History {
    sent: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    /// Handed to the settler; maybe settled.
    settling: BTreeSet<u64>,
    settled: BTreeSet<u64>,
}

impl History {
    /// Starts a child that publishes and settles as fast as it can, and kills it.
    fn run_child(&mut self, directory: &Path, from: u64, after: Duration) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::child", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(FROM, from.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map(Result::unwrap).any(|line| line.ends_with("ready"));
        assert!(ready, "the child did not begin");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(after);
                child.kill().unwrap();
                child.wait().unwrap();
            });
            // A line cut short by the kill was not said.
            for line in lines.map_while(Result::ok) {
                let Some((what, number)) = line.split_once(' ') else { continue };
                let Ok(number) = number.trim_end_matches(';').parse() else { continue };
                match what {
                    _ if !line.ends_with(';') => {}
                    "sent" => drop(self.sent.insert(number)),
                    "confirmed" => drop(self.confirmed.insert(number)),
                    "settling" => drop(self.settling.insert(number)),
                    "settled" => drop(self.settled.insert(number)),
                    _ => {}
                }
            }
        });
    }

    fn check(&self, found: &[u64], seed: u64, round: u64) {
        let unique: BTreeSet<u64> = found.iter().copied().collect();
        let lost: Vec<_> =
            self.confirmed.difference(&unique).filter(|number| !self.settling.contains(number)).collect();
        let phantom: Vec<_> = unique.difference(&self.sent).collect();
        let again: Vec<_> = unique.intersection(&self.settled).collect();
        let verdict = (lost.len(), phantom.len(), again.len(), found.len() - unique.len());
        assert_eq!(
            verdict,
            (0, 0, 0, 0),
            "lost, phantom, settled but back, twice; seed {seed}, round {round}: {lost:?}"
        );
        assert!(self.confirmed.len() > 20, "the child did next to nothing");
    }
}

/// All records that are not settled.
fn read_all(directory: &Path) -> Vec<u64> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let many = Options { max_unsettled_records: usize::MAX, ..options() };
        let broker = open(directory, many, Keep::UntilSettled).await;
        let (mut intake, _settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
        let found = take_all(intake.as_mut()).await.iter().map(number).collect();
        broker.close();
        found
    })
}

#[test]
#[ignore = "started by another test, which kills it"]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let broker = open(Path::new(&directory), options(), Keep::UntilSettled).await;
        say("ready");
        for publisher in 0..8 {
            tokio::spawn(publish(broker.clone(), from + publisher));
        }
        settle_most(broker).await;
    });
}

async fn publish(broker: EmbeddedBroker, mut next: u64) {
    loop {
        say(&format!("sent {next};"));
        broker.publish(vec![record(next, 300)]).await.unwrap();
        say(&format!("confirmed {next};"));
        next += 8;
    }
}

async fn settle_most(broker: EmbeddedBroker) {
    let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let mut kept = Vec::new();
    loop {
        if let Intaken::Batch(batch) = intake.next().await.unwrap() {
            let (settled, others): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|received| !number(received).is_multiple_of(64));
            kept.extend(others);
            let numbers: Vec<u64> = settled.iter().map(number).collect();
            numbers.iter().for_each(|number| say(&format!("settling {number};")));
            settler
                .hand_over(settled.into_iter().map(|received| received.receipt).collect(), Vec::new())
                .await
                .unwrap();
            numbers.into_iter().for_each(|number| say(&format!("settled {number};")));
        }
    }
}

/// One write, so that a kill cuts between lines or leaves a line without its end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}
