//! What distinguishes one platform's signature from another's.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

/// How a platform signs its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scheme {
    /// The signed bytes, in their order.
    pub(crate) signed: Cow<'static, [Part]>,
    pub(crate) hash: Hash,
    pub(crate) key: KeyForm,
    pub(crate) encoding: Encoding,
    pub(crate) signature: SignatureHeader,
    /// The time that is signed, where one is.
    pub(crate) timestamp: Option<Timestamp>,
}

/// Text of a constant scheme or of a configured one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Text(Cow<'static, str>);

/// A piece of the signed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Text),
    Body,
    /// The signature's time, as the platform wrote it.
    Timestamp,
    Method,
    /// The URL as the platform called it.
    Url,
    /// The value of a header, such as the delivery's id.
    Header(Text),
}

/// Where the signatures stand: the items of a header that begin with a prefix. Items that begin otherwise belong to
/// versions not known here and count for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureHeader {
    pub(crate) header: Text,
    /// What separates the items; none when the header is one item.
    pub(crate) separator: Option<char>,
    pub(crate) prefix: Text,
}

/// The time that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) place: TimestampPlace,
    pub(crate) unit: Unit,
}

/// Where the time stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimestampPlace {
    /// In a header of its own.
    Header(Text),
    /// In the item of the signature header that begins with this prefix.
    Item(Text),
}

/// The form of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// RFC 3339 text.
    Rfc3339,
}

/// The hash under the HMAC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hash {
    /// For platforms that offer nothing better.
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

/// What of the secret's text is the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyForm {
    /// Its bytes as they are.
    #[default]
    Raw,
    /// Base64, after a `whsec_` prefix where there is one.
    Base64,
    /// Hexadecimal digits.
    Hex,
}

/// How the signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    /// Hexadecimal digits, lower case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Text {
    pub(crate) const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// Stripe: `Stripe-Signature: t=..,v1=..`, the whole `whsec_..` text is the key.
pub(crate) const STRIPE: Scheme = Scheme {
    signed: Cow::Borrowed(&[Part::Timestamp, Part::Literal(Text::of(".")), Part::Body]),
    hash: Hash::Sha256,
    key: KeyForm::Raw,
    encoding: Encoding::Hex,
    signature: SignatureHeader {
        header: Text::of("stripe-signature"),
        separator: Some(','),
        prefix: Text::of("v1="),
    },
    timestamp: Some(Timestamp { place: TimestampPlace::Item(Text::of("t=")), unit: Unit::Seconds }),
};

/// Shopify: the app's client secret over the body. No time is signed, so a request can be played again: the window of
/// seen ids catches it.
pub(crate) const SHOPIFY: Scheme = Scheme {
    signed: Cow::Borrowed(&[Part::Body]),
    hash: Hash::Sha256,
    key: KeyForm::Raw,
    encoding: Encoding::Base64,
    signature: SignatureHeader {
        header: Text::of("x-shopify-hmac-sha256"),
        separator: None,
        prefix: Text::of(""),
    },
    timestamp: None,
};

/// Standard Webhooks 1.0, symmetric signatures (`v1`).
pub(crate) const STANDARD_WEBHOOKS: Scheme = Scheme {
    signed: Cow::Borrowed(&[
        Part::Header(Text::of("webhook-id")),
        Part::Literal(Text::of(".")),
        Part::Timestamp,
        Part::Literal(Text::of(".")),
        Part::Body,
    ]),
    hash: Hash::Sha256,
    key: KeyForm::Base64,
    encoding: Encoding::Base64,
    signature: SignatureHeader {
        header: Text::of("webhook-signature"),
        separator: Some(' '),
        prefix: Text::of("v1,"),
    },
    timestamp: Some(Timestamp {
        place: TimestampPlace::Header(Text::of("webhook-timestamp")),
        unit: Unit::Seconds,
    }),
};

/// GitHub: `X-Hub-Signature-256: sha256=..` over the body.
pub(crate) const GITHUB: Scheme = Scheme {
    signed: Cow::Borrowed(&[Part::Body]),
    hash: Hash::Sha256,
    key: KeyForm::Raw,
    encoding: Encoding::Hex,
    signature: SignatureHeader {
        header: Text::of("x-hub-signature-256"),
        separator: None,
        prefix: Text::of("sha256="),
    },
    timestamp: None,
};
