//! The service that takes events in over HTTP
