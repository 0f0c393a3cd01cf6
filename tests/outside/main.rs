//! A destination as a team writes it: it shouts the type of every event into a file.

use std::path::PathBuf;

use trunkline_sdk::schemars::{self, JsonSchema};
use trunkline_sdk::serde::{self, Deserialize};
use trunkline_sdk::tokio::fs::File;
use trunkline_sdk::tokio::io::AsyncWriteExt;
use trunkline_sdk::{Context, Delivered, Delivery, DeliveryError, Destination, SetupError};

/// Under `settings:` of a destination with `adapter: shouting`.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Settings {
    /// Where to shout.
    file: PathBuf,
    /// What ends a shout.
    mark: String,
}

struct Shouting {
    settings: Settings,
}

impl Destination for Shouting {
    const NAME: &'static str = "shouting";
    type Settings = Settings;

    async fn connect(settings: Settings, _context: &Context) -> Result<Self, SetupError> {
        if settings.mark.is_empty() {
            return Err(SetupError::new("mark", "is empty").hint("a shout ends with a mark, such as `!`"));
        }
        Ok(Self { settings })
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        let event = &delivery.event;
        let line = format!("{} {}{}\n", event.kind().to_uppercase(), event.id(), self.settings.mark);
        let shout = async {
            let mut file = File::options().create(true).append(true).open(&self.settings.file).await?;
            file.write_all(line.as_bytes()).await?;
            file.sync_data().await
        };
        // A full disk may have room again: the runtime tries later, and keeps the delivery until then.
        let failed = |error: std::io::Error| DeliveryError::transient(error.to_string()).caused_by(error);
        shout.await.map_err(failed)?;
        Ok(Delivered { request: format!("append to {}", self.settings.file.display()), ..Delivered::default() })
    }
}

fn main() -> std::process::ExitCode {
    trunkline_sdk::service::deliver_main::<Shouting>()
}
