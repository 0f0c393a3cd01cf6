//! When a destination is attempted at all: its circuit, its holds, the patience it asks for.

use std::time::Duration;

use tokio::time::Instant;
use trunkline_store::DestinationStateKind as Standing;

use crate::config::DestinationSettings;

/// Waits that are longer than this are waited out on the broker, not in memory.
const SHORT: Duration = Duration::from_secs(1);

/// What an attempt tells about the destination as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// It took a delivery.
    Worked,
    /// It refused a delivery for good; `answered` when it was the platform that did.
    Rejected { answered: bool },
    /// It may work later.
    Transient,
    /// It asks for patience.
    Throttled(Duration),
    /// It takes nothing until something changes.
    Halted,
    /// It says that it is gone for good.
    Gone,
    /// Nothing is known.
    Unknown,
}

/// What a signal changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// The circuit opened: no attempts for a while.
    Tripped,
    /// The circuit closed.
    Closed,
    /// From open to held.
    Held,
    /// Disabled.
    Disabled,
    /// From held to open, because a probe succeeded.
    Resumed,
}

/// What keeps a destination from taking deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its circuit is open.
    Circuit,
    /// Its shared state says so.
    State(Standing),
}

/// One destination's gate. It decides by signals and time alone and does nothing itself.
#[derive(Debug)]
pub(super) struct Gate {
    mode: Mode,
    not_before: Option<Instant>,
    circuit_failures: u32,
    circuit_pause: Duration,
    probe_every: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Attempts are made; so many transient failures came one after the other.
    Open { failures: u32 },
    /// The circuit is open.
    Tripped { until: Instant },
    /// Nothing is attempted; `probe` says when one delivery may try.
    Stopped { standing: Standing, probe: Option<Instant> },
    /// One attempt at a time may show whether it works again; `held` tells the hold from the circuit.
    Trial { held: bool, running: bool },
}

impl Gate {
    pub(super) fn new(settings: &DestinationSettings) -> Self {
        Self {
            mode: Mode::Open { failures: 0 },
            not_before: None,
            circuit_failures: settings.circuit_failures,
            circuit_pause: settings.circuit_pause,
            probe_every: settings.probe_every,
        }
    }

    /// The destination was configured anew: its circuit closes, and if it is held, one delivery tries at once.
    pub(super) fn reconfigure(&mut self, settings: &DestinationSettings) {
        let mode = match self.mode {
            Mode::Tripped { .. } | Mode::Trial { held: false, .. } => Mode::Open { failures: 0 },
            mode => mode,
        };
        *self = Self { mode, ..Self::new(settings) };
        self.probe_now();
    }

    /// A secret changed: if the destination is held, one delivery tries at once.
    pub(super) fn probe_now(&mut self) {
        if let Mode::Stopped { standing: Standing::Held, .. } = self.mode {
            self.mode = Mode::Trial { held: true, running: false };
        }
    }

    /// The shared state is another one, or the same.
    pub(super) fn set_standing(&mut self, standing: Standing, now: Instant) {
        self.mode = match (standing, self.mode) {
            (Standing::Open, Mode::Stopped { .. } | Mode::Trial { held: true, .. }) => {
                Mode::Open { failures: 0 }
            }
            (Standing::Open, mode) => mode,
            (Standing::Held, mode @ Mode::Trial { held: true, .. }) => mode,
            (standing, mode) if mode.standing() == standing => mode,
            (standing, _) => self.stopped(standing, now),
        };
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|until| *until > now);
        match self.mode {
            Mode::Tripped { until } if until <= now => {
                self.mode = Mode::Trial { held: false, running: false }
            }
            Mode::Stopped { probe: Some(probe), .. } if probe <= now => {
                self.mode = Mode::Trial { held: true, running: false };
            }
            _ => {}
        }
    }

    /// When [`Gate::tick`] will next change something.
    pub(super) fn wake(&self) -> Option<Instant> {
        let mode = match self.mode {
            Mode::Tripped { until } => Some(until),
            Mode::Stopped { probe, .. } => probe,
            Mode::Open { .. } | Mode::Trial { .. } => None,
        };
        [mode, self.not_before].into_iter().flatten().min()
    }

    /// Whether an attempt may begin now, and if so, whether it is a trial. Ask after [`Gate::tick`].
    pub(super) fn permits(&self) -> Option<bool> {
        match self.mode {
            _ if self.not_before.is_some() => None,
            Mode::Open { .. } => Some(false),
            Mode::Trial { running: false, .. } => Some(true),
            Mode::Trial { .. } | Mode::Tripped { .. } | Mode::Stopped { .. } => None,
        }
    }

    /// Whether the backlog must stay on the broker.
    pub(super) fn is_shut(&self, now: Instant) -> bool {
        match self.mode {
            Mode::Tripped { .. } | Mode::Stopped { .. } => true,
            Mode::Open { .. } | Mode::Trial { .. } => {
                self.not_before.is_some_and(|until| until > now + SHORT)
            }
        }
    }

    /// A permitted attempt began.
    pub(super) fn began(&mut self) {
        if let Mode::Trial { running, .. } = &mut self.mode {
            *running = true;
        }
    }

    /// An attempt ended. `trial` is what [`Gate::permits`] said when it began; an attempt from before a stop says
    /// nothing about whether the stop is over.
    pub(super) fn ended(&mut self, signal: Signal, trial: bool, now: Instant) -> Change {
        match (self.mode, signal) {
            (Mode::Trial { held, .. }, signal) if trial => self.tried(held, signal, now),
            (Mode::Stopped { standing: Standing::Paused | Standing::Disabled, .. }, _) => Change::None,
            (_, Signal::Gone) => self.stop(Standing::Disabled, now),
            (Mode::Stopped { .. } | Mode::Trial { held: true, .. }, _) => Change::None,
            (_, Signal::Halted) => self.stop(Standing::Held, now),
            (Mode::Open { .. }, Signal::Worked | Signal::Rejected { answered: true }) => {
                self.mode = Mode::Open { failures: 0 };
                Change::None
            }
            (Mode::Open { failures }, Signal::Transient) => self.failed(failures.saturating_add(1), now),
            (_, Signal::Throttled(patience)) => self.wait(patience, now),
            _ => Change::None,
        }
    }

    /// What the shared state should be, as far as this gate knows.
    pub(super) fn standing(&self) -> Standing {
        self.mode.standing()
    }

    /// What keeps the destination from taking deliveries, if anything does.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.mode {
            Mode::Open { .. } => None,
            Mode::Tripped { .. } | Mode::Trial { held: false, .. } => Some(Trouble::Circuit),
            Mode::Trial { held: true, .. } => Some(Trouble::State(Standing::Held)),
            Mode::Stopped { standing, .. } => Some(Trouble::State(standing)),
        }
    }

    fn tried(&mut self, held: bool, signal: Signal, now: Instant) -> Change {
        self.mode = Mode::Trial { held, running: false };
        match (signal, held) {
            (Signal::Worked, true) => {
                self.mode = Mode::Open { failures: 0 };
                Change::Resumed
            }
            (Signal::Worked | Signal::Rejected { answered: true }, false) => {
                self.mode = Mode::Open { failures: 0 };
                Change::Closed
            }
            (Signal::Transient, false) => {
                self.mode = Mode::Tripped { until: now + self.circuit_pause };
                Change::None
            }
            (Signal::Halted, false) => self.stop(Standing::Held, now),
            (Signal::Gone, _) => self.stop(Standing::Disabled, now),
            (Signal::Transient | Signal::Halted, true) => {
                self.mode = self.stopped(Standing::Held, now);
                Change::None
            }
            (Signal::Throttled(patience), _) => self.wait(patience, now),
            (Signal::Rejected { .. } | Signal::Unknown, _) => Change::None,
        }
    }

    fn failed(&mut self, failures: u32, now: Instant) -> Change {
        if self.circuit_failures == 0 || failures < self.circuit_failures {
            self.mode = Mode::Open { failures };
            return Change::None;
        }
        self.mode = Mode::Tripped { until: now + self.circuit_pause };
        Change::Tripped
    }

    fn wait(&mut self, patience: Duration, now: Instant) -> Change {
        self.not_before = self.not_before.max(Some(now + patience));
        Change::None
    }

    fn stop(&mut self, standing: Standing, now: Instant) -> Change {
        self.mode = self.stopped(standing, now);
        if standing == Standing::Disabled { Change::Disabled } else { Change::Held }
    }

    fn stopped(&self, standing: Standing, now: Instant) -> Mode {
        let probe = (standing == Standing::Held).then(|| now + self.probe_every);
        Mode::Stopped { standing, probe }
    }
}

impl Mode {
    fn standing(self) -> Standing {
        match self {
            Mode::Open { .. } | Mode::Tripped { .. } | Mode::Trial { held: false, .. } => Standing::Open,
            Mode::Stopped { standing, .. } => standing,
            Mode::Trial { held: true, .. } => Standing::Held,
        }
    }
}
