//! Events, deliveries, dead letters, retry policy and the configuration document of Trunkline; no I/O
