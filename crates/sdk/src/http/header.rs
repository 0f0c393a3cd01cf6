//! Header values made of what events say.

use http::HeaderValue;
use thiserror::Error;

/// The longest header value that is sent, in bytes: what common servers take for one line.
pub const MAX_HEADER_VALUE: usize = 8 * 1024;

/// Why text is no header value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderProblem {
    /// Longer than [`MAX_HEADER_VALUE`].
    #[error("it is {0} bytes long, and at most {MAX_HEADER_VALUE} are sent")]
    TooLong(usize),
    /// A line break, another control character, or a character outside ASCII.
    #[error("character {0:?} can't stand in a header")]
    Character(char),
}

/// Makes a header value of text that may come from an event. Only printable ASCII passes: a line break would begin a
/// header of the sender's choice, and servers disagree about everything else.
///
/// # Errors
/// [`HeaderProblem`] names the character.
pub fn header_value(text: &str) -> Result<HeaderValue, HeaderProblem> {
    if text.len() > MAX_HEADER_VALUE {
        return Err(HeaderProblem::TooLong(text.len()));
    }
    match text.chars().find(|character| !matches!(character, ' '..='~')) {
        Some(character) => Err(HeaderProblem::Character(character)),
        // Everything printable in ASCII is permitted by the type, so the fallback is never taken.
        None => HeaderValue::from_str(text).map_err(|_invalid| HeaderProblem::Character('\0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, HeaderProblem>) {
        let value = header_value(text);
        assert_eq!(value.as_ref().map(HeaderValue::as_bytes), expected.as_ref().map(|text| text.as_bytes()));
    }

    #[test]
    fn only_printable_ascii_of_bounded_length_passes() {
        check("order 12%~", Ok("order 12%~"));
        check("", Ok(""));
        check("a\r\nx-admin: 1", Err(HeaderProblem::Character('\r')));
        check("a\nb", Err(HeaderProblem::Character('\n')));
        check("a\0b", Err(HeaderProblem::Character('\0')));
        check("a\tb", Err(HeaderProblem::Character('\t')));
        check("a\u{7f}", Err(HeaderProblem::Character('\u{7f}')));
        check("Müller", Err(HeaderProblem::Character('ü')));
        check("a\u{85}x", Err(HeaderProblem::Character('\u{85}')));
        check(&"x".repeat(MAX_HEADER_VALUE), Ok(&"x".repeat(MAX_HEADER_VALUE)));
        check(&"x".repeat(MAX_HEADER_VALUE + 1), Err(HeaderProblem::TooLong(MAX_HEADER_VALUE + 1)));
    }
}
