//! The configuration of an instance, without what the harness chooses: addresses and folders.

use std::fmt::Write as _;

use crate::ports;

/// What an instance is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The broker's address; empty for the embedded engine in the instance's folder.
    pub broker: String,
    /// The store's address; empty for a file in the instance's folder.
    pub store: String,
    /// Further settings of `gateway:`, one a line.
    pub gateway: String,
    /// Further settings of `router:`, one a line.
    pub router: String,
    /// Further settings of `console:`, one a line.
    pub console: String,
    /// The other sections.
    pub sections: String,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

/// Where an instance listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) gateway: u16,
    pub(crate) console: u16,
    pub(crate) admin: u16,
}

impl Setup {
    /// Sources, destinations, subscriptions and whatever else, as they stand in a file.
    pub fn new(sections: impl Into<String>) -> Self {
        Self { sections: sections.into(), ..Self::default() }
    }

    /// With further settings of `gateway:`.
    #[must_use]
    pub fn gateway(mut self, settings: &str) -> Self {
        self.gateway.push_str(settings);
        self
    }

    /// With further settings of `router:`.
    #[must_use]
    pub fn router(mut self, settings: &str) -> Self {
        self.router.push_str(settings);
        self
    }

    /// With further settings of `console:`.
    #[must_use]
    pub fn console(mut self, settings: &str) -> Self {
        self.console.push_str(settings);
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn render(&self, ports: Ports) -> String {
        let Ports { gateway, console, admin } = ports;
        let broker = if self.broker.is_empty() { "embedded:./data" } else { &self.broker };
        let store = if self.store.is_empty() { "sqlite:./data/store.db" } else { &self.store };
        let mut text = format!("version: 1\nbroker: {broker}\nstore: {store}\n");
        let services =
            [("gateway", Some(gateway), &*self.gateway), ("console", Some(console), &*self.console)];
        for (name, listen, settings) in
            services.into_iter().chain([("router", None, &*self.router), ("dispatcher", None, "")])
        {
            writeln!(text, "{name}:\n  admin: 127.0.0.1:{admin}").unwrap();
            if let Some(listen) = listen {
                writeln!(text, "  listen: 127.0.0.1:{listen}").unwrap();
            }
            for line in settings.lines() {
                writeln!(text, "  {line}").unwrap();
            }
        }
        text + &self.sections
    }
}

impl Ports {
    pub(crate) fn free() -> Self {
        Self { gateway: ports::free(), console: ports::free(), admin: ports::free() }
    }
}
