//! The service for operators: dead letters, journeys, replay
