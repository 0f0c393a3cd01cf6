//! What a plain scalar stands for (YAML 1.2 core schema), and where the characters of a text stand in the file.

use std::sync::Arc;

use saphyr_parser::ScalarStyle;

use super::node::{Mark, NodeValue};

/// The value of a scalar without quotes. `on`, `yes`, `.nan` and dates are text.
///
/// # Errors
/// A whole number that no `i64` can hold.
pub(super) fn plain(text: &str) -> Result<Option<NodeValue>, &'static str> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Boolean(true),
        "false" | "False" | "FALSE" => NodeValue::Boolean(false),
        _ => match (whole(text), float(text)) {
            (Some(Ok(number)), _) => NodeValue::Integer(number),
            (Some(Err(_)), _) => return Err("a whole number that does not fit 64 bits"),
            (None, Some(number)) => NodeValue::Float(number),
            (None, None) => return Ok(None),
        },
    };
    Ok(Some(value))
}

fn whole(text: &str) -> Option<Result<i64, std::num::ParseIntError>> {
    let all = |digits: &str, permitted: fn(&u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|b| permitted(&b))
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit).then(|| i64::from_str_radix(digits, 16));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| (b'0'..=b'7').contains(byte)).then(|| i64::from_str_radix(digits, 8));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    all(digits, u8::is_ascii_digit).then(|| text.parse())
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    // Rust's parser also knows `inf` and `nan`, which YAML does not spell so.
    let begins_well = unsigned.trim_start_matches('.').starts_with(|first: char| first.is_ascii_digit());
    if !begins_well || unsigned.starts_with("..") {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Where a scalar's source begins: its text from there on, and the place of its first character.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Where the characters of `content` stand: for a literal block exactly; for the other styles by walking through source
/// and content together, which escapes and folded lines do not throw off.
pub(super) fn marks(style: ScalarStyle, source: Source<'_>, content: &str) -> Arc<[Mark]> {
    match style {
        ScalarStyle::Literal => literal(source, content),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            let mut walk = Walk::new(source, style);
            walk.step();
            walk.marks(content)
        }
        ScalarStyle::Plain | ScalarStyle::Folded => Walk::new(source, style).marks(content),
    }
}

/// The source of a block begins with the first line that is not empty, behind its indentation; each line of the content
/// is one line of the file with the same indentation.
fn literal(source: Source<'_>, content: &str) -> Arc<[Mark]> {
    let empty = content.bytes().take_while(|byte| *byte == b'\n').count();
    let first = source.line.saturating_sub(empty).max(1);
    let starts = std::iter::once(0).chain(content.match_indices('\n').map(|(offset, _)| offset + 1));
    let mark = |(index, offset)| Mark { offset, line: first + index, column: source.column };
    starts.enumerate().map(mark).collect()
}

/// Goes through the source of a scalar character by character.
struct Walk<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
    style: ScalarStyle,
}

impl<'a> Walk<'a> {
    fn new(source: Source<'a>, style: ScalarStyle) -> Self {
        Self { rest: source.text.chars().peekable(), line: source.line, column: source.column, style }
    }

    fn step(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn skip_space(&mut self) {
        while self.rest.peek().is_some_and(|next| next.is_whitespace()) {
            self.step();
        }
    }

    fn marks(mut self, content: &str) -> Arc<[Mark]> {
        let mut marks = vec![Mark { offset: 0, line: self.line, column: self.column }];
        for (offset, wanted) in content.char_indices() {
            self.skip_continuations();
            let linear = self.is_linear(&marks, offset, content);
            if !linear {
                marks.push(Mark { offset, line: self.line, column: self.column });
            }
            if !self.consume(wanted) {
                break;
            }
        }
        marks.into()
    }

    /// Whether the last mark already says where `offset` stands.
    fn is_linear(&self, marks: &[Mark], offset: usize, content: &str) -> bool {
        marks.last().is_some_and(|mark| {
            let since = content.get(mark.offset..offset).map_or(0, |text| text.chars().count());
            mark.line == self.line && mark.column + since == self.column
        })
    }

    /// In double quotes a line continued with `\` adds nothing to the content.
    fn skip_continuations(&mut self) {
        let mut ahead = self.rest.clone();
        while self.style == ScalarStyle::DoubleQuoted
            && ahead.next() == Some('\\')
            && matches!(ahead.next(), Some('\n' | '\r'))
        {
            self.step();
            self.skip_space();
            ahead = self.rest.clone();
        }
    }

    /// Goes past the source of one character of content; false when the two can't be brought together.
    fn consume(&mut self, wanted: char) -> bool {
        if self.style == ScalarStyle::DoubleQuoted && self.rest.peek() == Some(&'\\') {
            self.step();
            let digits = match self.step() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            };
            for _ in 0..digits {
                self.step();
            }
            return true;
        }
        match self.rest.peek() {
            Some(next) if *next == wanted && wanted != '\n' => {
                self.step();
                if wanted == '\'' && self.style == ScalarStyle::SingleQuoted {
                    self.step();
                }
                true
            }
            // A folded line break is one space or line break of the content, or several.
            Some(next) if next.is_whitespace() => {
                self.skip_space();
                wanted.is_whitespace()
            }
            _ => wanted.is_whitespace(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<NodeValue>) {
        assert_eq!(plain(text), Ok(expected), "{text}");
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for text in ["", "~", "null"] {
            check(text, Some(NodeValue::Null));
        }
        for text in [
            "on",
            "yes",
            "no",
            "1_000",
            "2024-01-01",
            ".nan",
            ".inf",
            "inf",
            "nan",
            "1e999",
            "-",
            "0x",
            "1.2.3",
        ] {
            check(text, None);
        }
        check("0x1F", Some(NodeValue::Integer(31)));
        check("0o17", Some(NodeValue::Integer(15)));
        check("-7", Some(NodeValue::Integer(-7)));
        check("+7", Some(NodeValue::Integer(7)));
        check("1.", Some(NodeValue::Float(1.0)));
        check("-.5", Some(NodeValue::Float(-0.5)));
        check("1e3", Some(NodeValue::Float(1000.0)));
        assert!(plain("9223372036854775808").is_err());
    }
}
