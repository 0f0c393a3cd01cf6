//! The built-in sources and destinations of Trunkline, and the registry that names them.
//!
//! Sources: [`Shopify`] and [`Stripe`] turn what their platform says into canonical messages, [`Hmac`] takes the
//! webhooks of any platform that signs with HMAC. Destinations: [`Http`] calls a URL, [`File`] appends to a file.
//!
//! An adapter is one file, or a file with a folder of the same name once it grows; it knows its platform and nothing of
//! brokers, retries or dead letters. Adding one is its file and its line in [`registry`]. What several adapters need is
//! here too: `verify` checks signatures, `fields` reads JSON objects without losing what it does not know, `money`
//! keeps amounts exact.
#![warn(missing_docs)]

mod fields;
mod file;
mod hmac;
mod http;
mod money;
#[cfg(test)]
mod recorded;
mod secret_list;
mod shopify;
mod stripe;
#[cfg(test)]
mod testing;
mod verify;

pub use file::{File, FileSettings};
pub use hmac::{Hmac, HmacSettings};
pub use http::{Http, HttpSettings};
pub use shopify::{Shopify, ShopifySettings};
pub use stripe::{Stripe, StripeSettings};

use trunkline_sdk::Adapters;

/// Every built-in adapter.
pub fn registry() -> Adapters {
    Adapters::new()
        .webhook_source::<Shopify>()
        .webhook_source::<Stripe>()
        .webhook_source::<Hmac>()
        .destination::<Http>()
        .destination::<File>()
}
