//! Limit probes and load generators of Trunkline
