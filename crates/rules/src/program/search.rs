//! Calls with a regular expression, held to bounded steps.
//!
//! One search takes at most the text's length times what can be active in the expression at once, which is little enough
//! only if that product is. All matches of one text can take the square of its length; so on longer texts they are
//! looked for here, and the stopwatch is asked at each match.

use std::borrow::Cow;

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};
use vrl::compiler::expression::Expression;
use vrl::compiler::function::ArgumentList;
use vrl::compiler::state::TypeState;
use vrl::compiler::{Context, ExpressionError};
use vrl::value::{ObjectMap, Value};

/// Most steps of one search: five milliseconds and more.
const MAX_STEPS: usize = 2_000_000;
/// Up to this length all matches of a text are found in a few milliseconds, whatever the expression.
const SHORT: usize = 1024;

/// A call with a regular expression.
#[derive(Debug, Clone)]
pub(super) struct Search {
    text: Box<dyn Expression>,
    /// `None` where several are asked at once, which must be literals.
    pattern: Option<Box<dyn Expression>>,
    /// Known when the expression is a literal.
    positions: Option<usize>,
    matches: Matches,
}

/// Which matches a function looks for.
#[derive(Debug, Clone)]
enum Matches {
    First,
    /// All, with what replaces them and how many are replaced at most.
    Replaced(Box<dyn Expression>, Option<Box<dyn Expression>>),
    /// All, with how many parts there are to be at most.
    Split(Option<Box<dyn Expression>>),
    /// All, with their groups; whether those are numbered, too.
    Groups(Option<Box<dyn Expression>>),
}

impl Search {
    /// The search behind a call of `function`, if it may be one.
    pub(super) fn of(function: &str, arguments: &ArgumentList, state: &TypeState) -> Option<Self> {
        let matches = match function {
            "match" | "match_any" | "match_array" | "find" | "parse_regex" => Matches::First,
            "replace" => Matches::Replaced(arguments.required("with"), arguments.optional("count")),
            "split" => Matches::Split(arguments.optional("limit")),
            "parse_regex_all" => Matches::Groups(arguments.optional("numeric_groups")),
            _ => return None,
        };
        let text = arguments.required("value");
        if function == "match_any" {
            let patterns = arguments.required_array("patterns").ok()?;
            let each = |pattern: &vrl::compiler::expression::Expr| {
                pattern.resolve_constant(state).as_ref().and_then(Value::as_regex).map(positions)
            };
            // What is no literal the compiler refuses.
            let all = patterns.iter().filter_map(each).fold(0, usize::saturating_add);
            return Some(Self { text, pattern: None, positions: Some(all), matches });
        }
        let pattern = arguments.required("pattern");
        let positions = pattern.resolve_constant(state).as_ref().and_then(Value::as_regex).map(positions);
        Some(Self { text, pattern: Some(pattern), positions, matches })
    }

    /// Looks at the call's arguments and, where all matches of a longer text are asked for, does what the function would.
    /// `None`: the function itself may be called. `limit` bounds the value, as everywhere.
    pub(super) fn run(&self, context: &mut Context, limit: usize) -> Result<Option<Value>, ExpressionError> {
        let Some(pattern) = &self.pattern else {
            let text = self.text.resolve(context)?;
            return check(&text, self.positions.unwrap_or_default()).map(|()| None);
        };
        // Text as a pattern is no matter of this module.
        let Value::Regex(pattern) = pattern.resolve(context)? else { return Ok(None) };
        let text = self.text.resolve(context)?;
        check(&text, self.positions.unwrap_or_else(|| positions(&pattern)))?;
        let all = !matches!(self.matches, Matches::First);
        match text.to_str_lossy().filter(|text| all && text.len() > SHORT) {
            Some(text) => self.all(&text, &pattern, context, limit),
            None => Ok(None),
        }
    }

    fn all(
        &self,
        text: &str,
        pattern: &Regex,
        context: &mut Context,
        limit: usize,
    ) -> Result<Option<Value>, ExpressionError> {
        let mut resolve = |argument: &Option<Box<dyn Expression>>| {
            argument.as_ref().map(|argument| argument.resolve(context)).transpose()
        };
        match &self.matches {
            Matches::First => Ok(None),
            Matches::Replaced(with, count) => {
                let count = resolve(count)?.and_then(|count| count.as_integer()).unwrap_or(-1);
                let with = with.resolve(context)?;
                let Some(with) = with.to_str_lossy() else { return Ok(None) };
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                replace(text, pattern, &with, count, context, limit).map(Some)
            }
            Matches::Split(parts) => {
                let parts = resolve(parts)?.and_then(|parts| parts.as_integer());
                let parts = parts.map_or(usize::MAX, |parts| usize::try_from(parts).unwrap_or(0));
                let mut made = Vec::new();
                for part in pattern.splitn(text, parts) {
                    step(context, made.len(), limit)?;
                    made.push(Value::from(part));
                }
                Ok(Some(Value::Array(made)))
            }
            Matches::Groups(numbered) => {
                let numbered = resolve(numbered)?.and_then(|numbered| numbered.as_boolean());
                groups(text, pattern, numbered.unwrap_or(false), context, limit).map(Some)
            }
        }
    }
}

fn replace(
    text: &str,
    pattern: &Regex,
    with: &str,
    count: usize,
    context: &mut Context,
    limit: usize,
) -> Result<Value, ExpressionError> {
    let (mut made, mut end) = (String::new(), 0);
    for (at, captures) in pattern.captures_iter(text).take(count).enumerate() {
        step(context, at, limit)?;
        let Some(whole) = captures.get(0) else { continue };
        made.push_str(&text[end..whole.start()]);
        captures.expand(with, &mut made);
        end = whole.end();
        if made.len() > limit {
            return Err(ExpressionError::Interrupted);
        }
    }
    made.push_str(&text[end..]);
    Ok(Value::from(made))
}

/// An object for each match: its named groups, and the numbered ones (the whole is 0) where they are asked for.
fn groups(
    text: &str,
    pattern: &Regex,
    numbered: bool,
    context: &mut Context,
    limit: usize,
) -> Result<Value, ExpressionError> {
    let names: Vec<_> =
        pattern.capture_names().enumerate().filter_map(|(at, name)| Some((at, name?))).collect();
    let each = super::guard::OBJECT * (1 + pattern.captures_len() / 8);
    let mut made = Vec::new();
    for captures in pattern.captures_iter(text) {
        step(context, made.len().saturating_mul(each), limit)?;
        let named = names.iter().map(|&(at, name)| {
            (name.into(), captures.get(at).map_or(Value::Null, |group| Value::from(group.as_str())))
        });
        let mut members: ObjectMap = named.collect();
        if numbered {
            let groups = captures.iter().flatten().enumerate();
            members.extend(groups.map(|(at, group)| (at.to_string().into(), Value::from(group.as_str()))));
        }
        made.push(Value::Object(members));
    }
    Ok(Value::Array(made))
}

/// Asks the stopwatch, which looks every other time, and how much was made.
fn step(context: &mut Context, made: usize, limit: usize) -> Result<(), ExpressionError> {
    context.checkpoint()?;
    context.checkpoint()?;
    if made.saturating_mul(super::guard::NODE) > limit { Err(ExpressionError::Interrupted) } else { Ok(()) }
}

fn check(text: &Value, positions: usize) -> Result<(), ExpressionError> {
    let length = match text {
        Value::Array(elements) => {
            elements.iter().filter_map(Value::to_str_lossy).map(|text| text.len()).sum()
        }
        text => text.to_str_lossy().map_or(0, |text: Cow<'_, str>| text.len()),
    };
    if length.saturating_mul(positions) <= MAX_STEPS {
        return Ok(());
    }
    let longest = MAX_STEPS / positions.max(1);
    Err(format!("text of {length} bytes; this regular expression may be asked about {longest}").into())
}

/// How much of an expression can be active at once: its characters, each as often as it may be repeated. To note where
/// groups are costs, too.
fn positions(pattern: &Regex) -> usize {
    let groups = pattern.captures_len() - 1;
    // It was parsed before, so it can be parsed.
    let active = regex_syntax::parse(pattern.as_str()).map_or(usize::MAX, |hir| active(&hir, false));
    active.saturating_mul(1 + groups / 8).saturating_add(groups)
}

fn active(hir: &Hir, repeated: bool) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        // Of text that is not repeated one character is active, or what overlaps with itself, as a machine of its own.
        HirKind::Literal(text) => {
            if repeated {
                text.0.len()
            } else {
                1
            }
        }
        HirKind::Class(_) => 1,
        HirKind::Capture(group) => active(&group.sub, repeated),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1) as usize;
            active(&repetition.sub, true).saturating_mul(times)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(|part| active(part, repeated)).fold(0, usize::saturating_add)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: usize) {
        assert_eq!(positions(&Regex::new(pattern).unwrap()), expected, "{pattern}");
    }

    #[test]
    fn what_is_repeated_counts_as_often() {
        check("abc", 1);
        check("^$", 0);
        check("(?:abc)+", 3);
        check("[ab]{300}", 300);
        check("(?:[ab]{10}|c){10}", 110);
        check(r"\w+@\w+\.\w{2,}", 6);
        check("(a)(b)(c)", 6);
    }
}
