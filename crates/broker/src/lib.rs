//! The broker port of Trunkline and the conformance suite of its engines
