//! Invariant 1: `core` and `rules` do no I/O and read no clock.

use trunkline_tests::workspace;

/// What would be I/O, a clock or chance, and the one place where it is permitted with its reason.
const FORBIDDEN: [&str; 12] = [
    "std::fs",
    // An address is a value; what speaks to one is not.
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "std::thread",
    "tokio",
    "SystemTime",
    "Utc::now",
    "rand::",
    "Instant::now",
];

/// The stopwatch that stops a program which runs too long, on which no answer depends but "stopped"; and threads that
/// compile many subscriptions side by side, on which none depends at all.
const PERMITTED: [(&str, &str); 2] =
    [("crates/rules/src/program", "Instant::now"), ("crates/rules/src/rule_set/compile.rs", "std::thread")];

#[test]
fn core_and_rules_are_pure() {
    let mut found = Vec::new();
    let mut files = 0;
    for (path, text) in workspace::rust_files() {
        let name = path.display().to_string();
        if !name.starts_with("crates/core/src") && !name.starts_with("crates/rules/src")
            || name.contains("tests")
        {
            continue;
        }
        files += 1;
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in own.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for forbidden in FORBIDDEN.iter().filter(|forbidden| line.contains(**forbidden)) {
                let permitted =
                    PERMITTED.iter().any(|(place, what)| name.starts_with(place) && what == forbidden);
                if !permitted {
                    found.push(format!("{name}: {}", line.trim()));
                }
            }
        }
    }
    assert!(files > 30, "only {files} files of core and rules were read");
    assert!(found.is_empty(), "not pure:\n{}", found.join("\n"));
}
