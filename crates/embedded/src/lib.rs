//! The embedded engine of Trunkline: channels on disk inside the process
