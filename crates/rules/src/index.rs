//! Finds the few subscriptions that may match an event among many.
