//! Ports of 127.0.0.1 that stay one's own while a broker stops and starts again on them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::BrokersError;

/// Ports to choose from, first and last: below those that the system gives to outgoing connections, and beside those that
/// the integration tests take.
#[derive(Clone, Copy)]
pub(crate) struct Range(u16, u16);

/// A port that nothing listened on, reserved among all processes that ask here until this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// The lock is the reservation; the system gives it up with the process.
    _reservation: File,
}

impl Range {
    /// For brokers of one test.
    pub(crate) const PRIVATE: Range = Range(10_000, 11_799);
    /// For brokers that tests share: whoever reserved their ports is gone while they run, and while one is down for a
    /// moment no private one may take its ports.
    pub(crate) const SHARED: Range = Range(11_800, 11_999);

    /// Reserves a free port.
    pub(crate) fn reserve(self) -> Result<Port, BrokersError> {
        let Range(first, last) = self;
        let folder = reservations()?;
        let count = u32::from(last - first) + 1;
        // Processes that start at once begin their search at different places.
        let offset = std::process::id().wrapping_mul(37) % count;
        for step in 0..count {
            let number = first + ((offset + step) % count) as u16;
            let Ok(reservation) = File::create(folder.join(number.to_string())) else { continue };
            // Locked first: between the look and the server's own bind nobody else may look.
            if reservation.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port { number, _reservation: reservation });
            }
        }
        Err(BrokersError::NoPort { first, last })
    }

    /// Several at once.
    pub(crate) fn reserve_several<const N: usize>(self) -> Result<[Port; N], BrokersError> {
        let ports = (0..N).map(|_| self.reserve()).collect::<Result<Vec<_>, _>>()?;
        ports.try_into().map_err(|_| BrokersError::NoPort { first: self.0, last: self.1 })
    }
}

/// The folder of the reservations: one for all processes of a user, whatever they build and wherever.
fn reservations() -> Result<PathBuf, BrokersError> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("trunkline-test-ports-{user}"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(BrokersError::file(&folder))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_nobody_else() {
        let ports: Vec<Port> =
            (0..50).map(|_| Range::PRIVATE.reserve().expect("there are free ports")).collect();
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
}
