//! One server process that can be started, stopped, killed and paused.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::BrokersError;
use super::guard::Guard;
use super::ports::Port;
use super::probe::Probe;
use super::process::Process;
use super::recipe::Recipe;

/// On a machine with two cores where others build, Kafka and RabbitMQ take several times their usual seconds.
const UNTIL_READY: Duration = Duration::from_secs(120);
const UNTIL_STOPPED: Duration = Duration::from_secs(60);
/// How much of a log an error shows.
const TAIL: usize = 2_000;

/// A server on 127.0.0.1 with its data and ports, which stay while its process comes and goes. Its methods block; several
/// threads may call them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Server {
    name: String,
    recipe: Recipe,
    probe: Probe,
    /// A process that it needs and that stays through its restarts.
    companion: Option<Box<Server>>,
    /// Ends it in good order.
    stop: Stop,
    process: Mutex<Option<Process>>,
    /// Of one that belongs to one test.
    #[serde(skip)]
    private: Option<Private>,
}

/// What ends with the test.
#[derive(Debug)]
struct Private {
    guard: Mutex<Guard>,
    _ports: Vec<Port>,
}

/// The signal that a server takes as the wish to end in good order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Stop {
    Terminate,
    /// PostgreSQL waits for its clients when it is told to terminate, and sends them away when it is interrupted.
    Interrupt,
}

impl Server {
    pub(crate) fn new(name: &str, recipe: Recipe, probe: Probe, stop: Stop) -> Server {
        let process = Mutex::new(None);
        Server { name: name.to_owned(), recipe, probe, companion: None, stop, process, private: None }
    }

    pub(crate) fn with_companion(mut self, companion: Server) -> Server {
        self.companion = Some(Box::new(companion));
        self
    }

    /// Makes it the test's own: its ports stay reserved, and it ends with this value or with this process.
    pub(crate) fn private(mut self, guard: Guard, ports: impl Into<Vec<Port>>) -> Server {
        self.private = Some(Private { guard: Mutex::new(guard), _ports: ports.into() });
        self
    }

    /// Starts it on its data and ports and waits until it answers. One that runs is left alone.
    ///
    /// # Errors
    /// It can't be run, ends at once, or does not answer within two minutes; the error shows the end of its log.
    pub fn start(&self) -> Result<(), BrokersError> {
        self.spawn()?;
        self.await_ready()
    }

    /// Stops it in good order; after a minute it is killed.
    pub fn stop(&self) {
        let mut process = self.process();
        let Some(running) = process.take() else { return };
        running.signal_all(Signal::CONT);
        running.signal(match self.stop {
            Stop::Terminate => Signal::TERM,
            Stop::Interrupt => Signal::INT,
        });
        if !running.wait(UNTIL_STOPPED) {
            running.kill();
        }
    }

    /// Kills it (`SIGKILL`), as if it crashed, and returns when it is gone.
    pub fn kill(&self) {
        if let Some(running) = self.process().take() {
            running.kill();
        }
    }

    /// Halts it (`SIGSTOP`) and returns when it is: its connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(running) = *self.process() {
            running.halt();
        }
    }

    /// Lets it go on after [`Server::pause`].
    pub fn resume(&self) {
        if let Some(running) = *self.process() {
            running.signal_all(Signal::CONT);
        }
    }

    /// Stops it in good order and starts it again.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&self) -> Result<(), BrokersError> {
        self.stop();
        self.start()
    }

    /// Its process's id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process().filter(|process| process.is_alive()).map(|process| process.id)
    }

    /// The memory of its processes in bytes, shared pages counted once; 0 when it does not run.
    pub fn memory(&self) -> u64 {
        let own = self.process().map_or(0, Process::memory);
        own + self.companion.as_ref().map_or(0, |companion| companion.memory())
    }

    /// Where its configuration and data are.
    pub fn folder(&self) -> &Path {
        &self.recipe.folder
    }

    /// Its output: where to look when it does not what it should.
    pub fn log(&self) -> &Path {
        &self.recipe.log
    }

    /// Starts the process, not waiting for its answer.
    pub(crate) fn spawn(&self) -> Result<(), BrokersError> {
        if let Some(companion) = &self.companion {
            companion.spawn()?;
            self.watch();
            companion.await_ready()?;
        }
        let mut process = self.process();
        if !process.is_some_and(Process::is_alive) {
            *process = Some(self.recipe.spawn()?);
        }
        drop(process);
        self.watch();
        Ok(())
    }

    pub(crate) fn await_ready(&self) -> Result<(), BrokersError> {
        let started = Instant::now();
        loop {
            if self.probe.answers() {
                return Ok(());
            }
            let (name, log) = (self.name.clone(), self.recipe.log.clone());
            if self.id().is_none() {
                return Err(BrokersError::Ended { name, tail: self.tail(), log });
            }
            if started.elapsed() > UNTIL_READY {
                return Err(BrokersError::NotReady { name, waited: UNTIL_READY, tail: self.tail(), log });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether its own process runs and answers.
    pub(crate) fn serves(&self) -> bool {
        self.id().is_some() && self.probe.answers()
    }

    /// Kills it and its companion.
    pub(crate) fn end(&self) {
        self.kill();
        if let Some(companion) = &self.companion {
            companion.kill();
        }
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Tells the guard which processes run now.
    fn watch(&self) {
        let Some(private) = &self.private else { return };
        let companion = self.companion.as_ref().and_then(|companion| companion.id());
        let ids: Vec<u32> = companion.into_iter().chain(self.id()).collect();
        private.guard.lock().unwrap_or_else(PoisonError::into_inner).watch(&ids);
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        // The lock protects a plain value; no panic leaves it half changed.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.recipe.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL)..]).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.private.is_some() {
            self.end();
            // Their ids may belong to others by the time the guard ends.
            self.watch();
        }
    }
}
