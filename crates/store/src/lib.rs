//! Shared operational state of Trunkline in SQL
