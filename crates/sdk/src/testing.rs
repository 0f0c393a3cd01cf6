//! A kit for tests of adapters and services: a platform that answers as told, a bus in a temporary directory, events and
//! deliveries to try with, and adapters made from a few lines of settings.
//!
//! Behind the cargo feature `testing`. Nothing here sleeps longer than a test told it to, and everything listens on
//! loopback only: a destination that guards its connections needs `allow_private: true` to reach a [`Receiver`].
//!
//! ```no_run
//! use trunkline_sdk::testing::{self, Answer, Receiver};
//!
//! # async fn test<MyDestination: trunkline_sdk::Destination>() -> Result<(), Box<dyn std::error::Error>> {
//! let platform = Receiver::start().await?;
//! platform.answer_next([Answer::status(503).header("retry-after", "2")]);
//! let settings = format!("{{ url: \"{}\", allow_private: true }}", platform.url("/orders"));
//! let destination = testing::destination::<MyDestination>(&settings).await?;
//! let refused = destination.deliver(&testing::sample_delivery()).await.unwrap_err();
//! assert_eq!(refused.status, Some(503));
//! assert_eq!(platform.requests().len(), 1);
//! # Ok(())
//! # }
//! ```

mod adapter;
mod answer;
mod bus;
mod receiver;
mod sample;

pub use adapter::{context, destination, source};
pub use answer::Answer;
pub use bus::TestBus;
pub use receiver::{ReceivedRequest, Receiver};
pub use sample::{delivery, sample_delivery, sample_event};

/// Why the kit could not do what a test asked; for `?` and `unwrap` in tests.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
