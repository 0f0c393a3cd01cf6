//! The name of this process.

/// `TRUNKLINE_INSTANCE`, else the host's name. It is also the process's transactional id on engines that have one, so it
/// must be its own among the processes that share a broker, and the same after a restart.
pub fn instance_name() -> String {
    let configured = std::env::var("TRUNKLINE_INSTANCE").ok();
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let names = [configured, host(), std::env::var("HOSTNAME").ok()];
    let mut names = names.into_iter().flatten().map(|name| name.trim().to_owned());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "trunkline".to_owned())
}
