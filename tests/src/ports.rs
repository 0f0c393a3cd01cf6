//! Free ports of 127.0.0.1, below those that the system gives to outgoing connections.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that nothing listens on. Each call of this process gives another one, so tests that run at once never share.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes on one machine begin at different places.
    let offset = std::process::id() as u16;
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7).wrapping_add(offset.wrapping_mul(61));
        let port = FIRST + next % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
