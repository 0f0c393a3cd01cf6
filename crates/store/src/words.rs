//! The words that stand for states, reasons, classes and steps wherever they are text: in columns, in the console's API,
//! on the command line.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use trunkline_core::journey::Step;
use trunkline_core::{DeadLetterReason, FailureClass};

/// Something that is one word out of a few.
pub trait Word: Copy + PartialEq + 'static {
    /// What it is called in error messages.
    const NAME: &'static str;
    /// All of them.
    const ALL: &'static [Self];

    /// Its word, in lower case with `_` between parts.
    fn word(self) -> &'static str;

    /// The one whose word is `text`.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|candidate| candidate.word() == text)
    }
}

/// A [`FailureClass`] without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClassKind {
    /// [`FailureClass::Transient`].
    Transient,
    /// [`FailureClass::Throttled`].
    Throttled,
    /// [`FailureClass::Rejected`].
    Rejected,
    /// [`FailureClass::Halted`].
    Halted,
}

impl From<&FailureClass> for ClassKind {
    fn from(class: &FailureClass) -> Self {
        match class {
            FailureClass::Transient => Self::Transient,
            FailureClass::Throttled { .. } => Self::Throttled,
            FailureClass::Rejected => Self::Rejected,
            FailureClass::Halted => Self::Halted,
        }
    }
}

impl Word for ClassKind {
    const NAME: &'static str = "class";
    const ALL: &'static [Self] = &[Self::Transient, Self::Throttled, Self::Rejected, Self::Halted];

    fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::Halted => "halted",
        }
    }
}

impl Word for DeadLetterReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Rejected,
        Self::AttemptsExhausted,
        Self::TooOld,
        Self::ConditionFailed,
        Self::TransformFailed,
        Self::TooLarge,
        Self::Undecodable,
        Self::NotNormalized,
        Self::TemplateMissingValue,
        Self::UnknownDestination,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::TooOld => "too_old",
            Self::ConditionFailed => "condition_failed",
            Self::TransformFailed => "transform_failed",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::NotNormalized => "not_normalized",
            Self::TemplateMissingValue => "template_missing_value",
            Self::UnknownDestination => "unknown_destination",
        }
    }
}

impl Word for Step {
    const NAME: &'static str = "step";
    const ALL: &'static [Self] = &[
        Self::Accepted,
        Self::Duplicate,
        Self::Filtered,
        Self::Routed,
        Self::Attempt,
        Self::Held,
        Self::Delivered,
        Self::Dead,
        Self::Replayed,
        Self::Undecodable,
        Self::Discarded,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Filtered => "filtered",
            Self::Routed => "routed",
            Self::Attempt => "attempt",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Undecodable => "undecodable",
            Self::Discarded => "discarded",
        }
    }
}

/// For `#[serde(with = "words::one")]`.
pub mod one {
    use super::{Deserialize, Deserializer, Serializer, Word, unknown};

    /// Writes the word.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.word())
    }

    /// Reads the word.
    ///
    /// # Errors
    /// When it is none of the words; the message lists them.
    pub fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::parse(&text).ok_or_else(|| unknown::<T, _>(&text))
    }
}

/// For `#[serde(with = "words::optional")]`.
pub mod optional {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Word, unknown};

    /// Writes the word, or nothing.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<T: Word, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Word::word).serialize(serializer)
    }

    /// Reads the word, or nothing.
    ///
    /// # Errors
    /// When it is none of the words; the message lists them.
    pub fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        T::parse(&text).map(Some).ok_or_else(|| unknown::<T, _>(&text))
    }
}

fn unknown<T: Word, E: de::Error>(text: &str) -> E {
    let known: Vec<&str> = T::ALL.iter().map(|value| value.word()).collect();
    E::custom(format!("`{text}` is no {}; it is one of {}", T::NAME, known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Word + std::fmt::Debug>() {
        for value in T::ALL {
            assert_eq!(T::parse(value.word()), Some(*value));
        }
        assert_eq!(T::parse(""), None);
    }

    #[test]
    fn words_are_distinct_and_read_back() {
        check::<ClassKind>();
        check::<DeadLetterReason>();
        check::<Step>();
        check::<crate::DeadLetterState>();
        check::<crate::Contained>();
        check::<crate::DestinationStateKind>();
        check::<crate::ReplayState>();
    }
}
