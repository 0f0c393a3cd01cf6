//! A process known by its id and the moment it started, so that an id which the system gave to another one is not mistaken
//! for it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};

/// How long the system may take to end or halt what it was told to.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// A process that somebody of ours started; it need not be a child of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Clock ticks from the machine's start to the process's.
    started: u64,
}

/// What `/proc/ID/stat` says.
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl Process {
    /// The process that has this id now.
    pub(crate) fn of(id: u32) -> Option<Process> {
        let stat = stat(id)?;
        let ended = match stat.state {
            // The first thread may end before the others, which still hold files and ports.
            'Z' => threads(id) <= 1,
            state => state == 'X',
        };
        (!ended).then_some(Process { id, started: stat.started })
    }

    /// One that ended before anybody could look.
    pub(crate) fn ended(id: u32) -> Process {
        Process { id, started: 0 }
    }

    /// Whether it still runs. One that ended and was not waited for does not.
    pub(crate) fn is_alive(self) -> bool {
        let alive = Process::of(self.id) == Some(self);
        if !alive {
            self.reap();
        }
        alive
    }

    /// Signals it, when it is alive, and nobody else.
    pub(crate) fn signal(self, signal: Signal) {
        if let Some(id) = self.is_alive().then(|| pid(self.id)).flatten() {
            // It may end between the look and the signal; then there is nothing to signal.
            kill_process(id, signal).ok();
        }
    }

    /// Signals it and what descends from it: PostgreSQL is a family of processes.
    pub(crate) fn signal_all(self, signal: Signal) {
        let family = self.family();
        for member in family {
            member.signal(signal);
        }
    }

    /// Halts it with its family and returns when no thread of theirs runs any more.
    pub(crate) fn halt(self) {
        let family = self.family();
        for member in &family {
            member.signal(Signal::STOP);
        }
        let end = Instant::now() + AFTER_SIGNAL;
        for member in family {
            while !member.is_halted() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Kills it with its family and waits until all of them are gone.
    pub(crate) fn kill(self) {
        let family = self.family();
        for member in &family {
            member.signal(Signal::KILL);
        }
        for member in family {
            member.wait(AFTER_SIGNAL);
        }
    }

    /// Waits until it is gone; false when it is not in time.
    pub(crate) fn wait(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Memory in bytes that is its own and its share of what it shares, with its family's.
    pub(crate) fn memory(self) -> u64 {
        self.family().iter().map(|member| memory(member.id)).sum()
    }

    /// It, and what descends from it, parents first.
    pub(crate) fn family(self) -> Vec<Process> {
        if !self.is_alive() {
            return Vec::new();
        }
        let mut family = vec![self];
        let mut next = 0;
        let all: Vec<(u32, u32)> = ids().filter_map(|id| Some((id, stat(id)?.parent))).collect();
        while let Some(parent) = family.get(next).copied() {
            let children = all.iter().filter(|(_, of)| *of == parent.id);
            family.extend(children.filter_map(|(id, _)| Process::of(*id)));
            next += 1;
        }
        family
    }

    fn is_halted(self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id)).into_iter().flatten().flatten();
        let mut stats =
            tasks.filter_map(|task| parse_stat(&fs::read_to_string(task.path().join("stat")).ok()?));
        stats.all(|stat| matches!(stat.state, 'T' | 'Z' | 'X'))
    }

    /// Takes the exit status when it is a child of this process and ended: it would stay as a zombie.
    fn reap(self) {
        if let Some(id) = pid(self.id) {
            waitpid(Some(id), WaitOptions::NOHANG).ok();
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}

fn stat(id: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        // Field 22 of proc(5); the first here is its third.
        started: fields.get(19)?.parse().ok()?,
    })
}

fn memory(id: u32) -> u64 {
    let of = |file: &str, name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    // The kernel shows the share only to whom may trace the process.
    of("smaps_rollup", "Pss:").or_else(|| of("status", "VmRSS:")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 0";
        let stat = parse_stat(line).expect("the line is whole");
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 3, 4242));
    }

    #[test]
    fn a_process_that_ended_is_not_mistaken_for_its_successor() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("there is a sleep");
        let process = Process::of(child.id()).expect("it runs");
        assert!(process.is_alive() && process.memory() > 0);
        let earlier = Process { started: process.started - 1, ..process };
        assert!(!earlier.is_alive());
        earlier.signal(Signal::KILL);
        assert!(process.is_alive(), "the signal for another one hit it");
        process.signal_all(Signal::KILL);
        assert!(process.wait(Duration::from_secs(5)));
        child.wait().ok();
    }
}
