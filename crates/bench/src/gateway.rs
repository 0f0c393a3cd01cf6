//! What the gateway adds to a bare handler: processor time per event, of the serving process alone.
//!
//! Server and load are processes of their own, both this binary again: [`serve`] is either the gateway or the limit, a
//! bare handler that reads the body and publishes it in the same kind of batches; the load is the same for both.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use trunkline_broker::ChannelName;
use trunkline_core::{Data, Event};

use crate::compare::{Aim, Comparison, Run, alternate};
use crate::ledger::{Ledger, Payloads};
use crate::place::Place;
use crate::process::{cpu, runtime};
use crate::{Effort, engine};

pub mod bare;
pub mod load;
pub mod serve;

use serve::Door;

const CONNECTIONS: u32 = 64;
const EVENTS_OF_A_CONNECTION: u32 = 400;

/// 64 connections, one event of 1 KiB in binary mode a request, answered after it was stored. Recognising re-sends needs
/// the store, so there is a second figure without.
///
/// `program` is this binary.
///
/// # Errors
/// A run that fails or lost something.
pub fn measure(program: &Path, place: &Place, effort: Effort) -> anyhow::Result<Vec<Comparison>> {
    let each = (EVENTS_OF_A_CONNECTION / effort.divide).max(1);
    let side = |door| move || run(program, place, door, each);
    alternate(
        effort.rounds,
        Box::new(side(Door::Bare)),
        vec![
            (
                "gateway: 1 event a request against a bare handler and a publish",
                Aim::AddedCpu(Some(25.0)),
                Box::new(side(Door::Gateway)),
            ),
            (
                "gateway: the same with dedupe: 0s",
                Aim::AddedCpu(None),
                Box::new(side(Door::GatewayWithoutDedupe)),
            ),
        ],
    )
}

fn run(program: &Path, place: &Place, door: Door, each: u32) -> anyhow::Result<Run> {
    let folder = place.fresh()?;
    let mut server = Server::start(program, folder.path(), door)?;
    let before = cpu(server.child.id())?;
    let took = load(program, &server.address, each)?;
    let cpu = cpu(server.child.id())?.saturating_sub(before);
    let syncs = server.stop()?;
    let records = u64::from(CONNECTIONS) * u64::from(each);
    let (broker, _) = engine::open(&folder.path().join("data"))?;
    let payloads = Payloads::default();
    let mut expected = Ledger::default();
    (0..CONNECTIONS).for_each(|key| expected.expect(&payloads, key, each));
    let payload = |value: &Bytes| payload(value, door);
    runtime()?.block_on(engine::check(&broker, &ChannelName::events(), expected, records, payload))?;
    broker.close();
    Ok(Run { records, took, cpu, syncs })
}

fn payload(value: &Bytes, door: Door) -> anyhow::Result<Bytes> {
    if door == Door::Bare {
        return Ok(value.clone());
    }
    match Event::decode(value.clone())?.data() {
        Data::Text(text) => Ok(text.bytes().clone()),
        other => bail!("an event with other data came through: {other:?}"),
    }
}

/// Runs the load to its end.
fn load(program: &Path, address: &str, each: u32) -> anyhow::Result<Duration> {
    let (connections, each) = (CONNECTIONS.to_string(), each.to_string());
    let load = Command::new(program)
        .args(["load", address, "--connections", &connections, "--each", &each])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(load.status.success(), "the load ended with {}", load.status);
    let seconds: f64 =
        String::from_utf8(load.stdout)?.trim().parse().context("the load says how long it took")?;
    Ok(Duration::from_secs_f64(seconds))
}

/// A serving process; it ends when its input does, also when this process is killed.
struct Server {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: String,
}

impl Server {
    fn start(program: &Path, folder: &Path, door: Door) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", door.name(), "--folder"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().context("a child with piped output has it")?;
        let mut said = BufReader::new(said).lines();
        let address = said.next().context("the server ended before it served")??;
        Ok(Self { child, said, address })
    }

    /// Stops it; how often it waited for the disk.
    fn stop(&mut self) -> anyhow::Result<u64> {
        drop(self.child.stdin.take());
        let syncs = self.said.next().context("the server did not say how often it synced")??.parse()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(syncs)
    }
}
