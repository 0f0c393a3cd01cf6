//! The one crate an adapter author imports
