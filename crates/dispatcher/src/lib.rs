//! The service that hosts destinations
