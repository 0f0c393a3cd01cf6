//! Text with `*` for any number of characters.

use std::sync::Arc;

/// A wildcard pattern: literal parts with anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard {
    written: Arc<str>,
    /// The literal parts; one more than there are `*`.
    parts: Vec<String>,
}

impl Wildcard {
    /// Parses text in which `*` stands for any number of characters, `\*` for a star and `\\` for a backslash.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let mut parts = vec![String::new()];
        let mut after_star = false;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character == '*' {
                if after_star {
                    return Err(("two `*` in a row", "one `*` stands for any number of characters"));
                }
                parts.push(String::new());
                after_star = true;
                continue;
            }
            after_star = false;
            let literal = match character {
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => {
                        return Err((
                            "a lone backslash",
                            "write `\\\\` for a backslash and `\\*` for a star",
                        ));
                    }
                },
                other => other,
            };
            if let Some(part) = parts.last_mut() {
                part.push(literal);
            }
        }
        Ok(Self { written: text.into(), parts })
    }

    /// How many `*` it has.
    pub fn stars(&self) -> usize {
        self.parts.len() - 1
    }

    /// The literal text before the first `*`.
    pub(crate) fn beginning(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether `text` matches, in time linear in its length: each part is searched once, where the one before ended.
    /// Taking the first place for each is enough, as any later one leaves less room for those that follow.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &self.parts[..] else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let wildcard = Wildcard::parse(pattern).unwrap();
        for text in yes {
            assert!(wildcard.matches(text), "{pattern} should match {text}");
        }
        for text in no {
            assert!(!wildcard.matches(text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn stars_stand_for_anything() {
        check("*", &["", "a", "*"], &[]);
        check("a*", &["a", "ab"], &["", "ba"]);
        check("*.png", &[".png", "a.png"], &["a.png "]);
        check("a*b*c", &["abc", "a-b-c", "abbc", "abcbc"], &["ac", "acb", "ab"]);
        check("ab*ba", &["abba", "ab-ba"], &["aba"]);
        check(r"\**\\", &[r"*\", r"*a\"], &[r"a\"]);
        check("ä*ß", &["äß", "äöß"], &["aß"]);
        check("plain", &["plain"], &["plain "]);
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(Wildcard::parse("a**b").is_err());
        assert!(Wildcard::parse(r"a\b").is_err());
        assert!(Wildcard::parse(r"a\").is_err());
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        let wildcard = Wildcard::parse(&"a*".repeat(30)).unwrap();
        assert!(!Wildcard::parse(&format!("{}b", "a*".repeat(30))).unwrap().matches(&"a".repeat(1 << 20)));
        assert!(wildcard.matches(&"a".repeat(1 << 20)));
    }
}
