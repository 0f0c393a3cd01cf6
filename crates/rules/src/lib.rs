//! Patterns, transforms and rule sets of Trunkline; no I/O
