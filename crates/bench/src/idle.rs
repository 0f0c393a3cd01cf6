//! What `trunkline up` takes when nothing happens.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::Effort;
use crate::place::Place;
use crate::rules::{compile, section};

/// The most that an idle process may take, in MiB.
const GOAL_MIB: f64 = 40.0;
const SUBSCRIPTIONS: usize = 10_000;
/// How long it is idle before it is looked at.
const IDLE: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug)]
pub struct Idle {
    mib: f64,
    subscriptions: usize,
    /// With that many subscriptions more.
    many_mib: f64,
    compile: Duration,
    start: Duration,
    many_start: Duration,
}

/// Starts `trunkline up` with four destinations and a few subscriptions, and again with ten thousand more.
///
/// `binary` is trunkline's.
///
/// # Errors
/// A process that does not start, or does not end in order.
pub fn measure(binary: &Path, place: &Place, effort: Effort) -> anyhow::Result<Idle> {
    ensure!(binary.exists(), "{} is missing: cargo build --release --package trunkline", binary.display());
    let subscriptions = SUBSCRIPTIONS / effort.divide as usize;
    let idle = IDLE / effort.divide;
    let more = section(subscriptions, |number| format!("{{ type: [shop.kind-{number}] }}"));
    let started = Instant::now();
    compile(&more)?;
    let compile = started.elapsed();
    let (mib, start) = run(binary, place, "", idle)?;
    let (many_mib, many_start) = run(binary, place, &more, idle)?;
    Ok(Idle { mib, subscriptions, many_mib, compile, start, many_start })
}

/// Resident MiB once idle, and the time until it was ready.
fn run(binary: &Path, place: &Place, more: &str, idle: Duration) -> anyhow::Result<(f64, Duration)> {
    let folder = place.fresh()?;
    let path = folder.path().join("trunkline.yaml");
    let admin = free_address()?;
    std::fs::write(&path, configuration(admin, more)?)?;
    let started = Instant::now();
    let mut command = Command::new(binary);
    command
        .args(["up", "-c"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("TRUNKLINE_LOG", "warn");
    let mut up = Up(command.spawn()?);
    while !is_ready(admin) {
        if let Some(status) = up.0.try_wait()? {
            bail!("trunkline up ended at its start with {status}");
        }
        ensure!(started.elapsed() < START, "trunkline up is not ready after {START:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let start = started.elapsed();
    std::thread::sleep(idle);
    let kib = crate::process::resident_kib(up.0.id())?;
    up.stop()?;
    Ok((kib as f64 / 1024.0, start))
}

/// One source, four destinations, as small installations have them.
fn configuration(admin: SocketAddr, more: &str) -> anyhow::Result<String> {
    let (gateway, console) = (free_address()?, free_address()?);
    let more: String = more.lines().map(|line| format!("  {line}\n")).collect();
    Ok(format!(
        "version: 1\nbroker: embedded:./data\nstore: sqlite:./data/store.db\n\
         gateway: {{ listen: \"{gateway}\", admin: \"{admin}\" }}\n\
         router: {{ admin: \"{admin}\" }}\ndispatcher: {{ admin: \"{admin}\" }}\n\
         console: {{ listen: \"{console}\", admin: \"{admin}\" }}\n\
         destinations:\n\
         \x20 crm: {{ adapter: http, settings: {{ url: \"https://crm.example.com/contacts\" }} }}\n\
         \x20 erp: {{ adapter: http, settings: {{ url: \"https://erp.example.com/orders\" }} }}\n\
         \x20 helpdesk: {{ adapter: http, settings: {{ url: \"https://help.example.com/\" }} }}\n\
         \x20 archive: {{ adapter: file, settings: {{ path: ./archive.jsonl }} }}\n\
         subscriptions:\n\
         \x20 everything: {{ match: {{ type: [{{ prefix: commerce. }}] }}, to: archive }}\n\
         \x20 orders: {{ match: {{ type: [commerce.order.created] }}, transform: \".data.total\", to: erp }}\n\
         \x20 paid: {{ match: {{ type: [commerce.order.created] }}, when: .data.total != null, to: crm }}\n{more}",
    ))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// A process that does not outlive this one's interest in it.
struct Up(Child);

impl Up {
    fn stop(&mut self) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).context("stopping trunkline up")?;
        let status = self.0.wait()?;
        ensure!(status.success(), "trunkline up ended with {status}");
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, and that is all an error here says.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = if self.mib <= GOAL_MIB { "reached" } else { "MISSED" };
        let Self { mib, subscriptions, many_mib, compile, start, many_start } = self;
        writeln!(
            f,
            "idle: up | {mib:.1} MiB resident, ready after {start:.1?} | goal <= {GOAL_MIB:.0} MiB: {reached}"
        )?;
        write!(
            f,
            "idle: {subscriptions} subscriptions more | {:+.1} MiB resident, {compile:.2?} to compile, ready after {many_start:.1?} | no goal",
            many_mib - mib,
        )
    }
}
