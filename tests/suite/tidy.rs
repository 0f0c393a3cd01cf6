//! The rules of the house that no compiler enforces.

mod edges;
mod errors;
mod lengths;
mod marks;
mod policy;
mod purity;
mod samples;
mod schema;
mod watching;
