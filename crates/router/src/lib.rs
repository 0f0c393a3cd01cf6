//! The service that turns events into deliveries
