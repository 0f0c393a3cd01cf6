//! Calls whose arguments are weighed first: what they make could be far larger than the arguments, or take much longer
//! than reading them, or depend on the machine.

use vrl::compiler::expression::Expression;
use vrl::compiler::function::ArgumentList;
use vrl::compiler::{Context, ExpressionError};
use vrl::value::Value;

use super::guard::NODE;

/// Largest index and longest path that may be set.
const MAX_INDEX: u64 = 100;
const MAX_PATH: usize = 32;
/// Longest text of functions that look at each character for long, in bytes.
const MAX_SLOW: usize = 64 * 1024;
/// Longest format of a timestamp.
const MAX_FORMAT: usize = 256;
/// Most comparisons of one search for text.
const MAX_COMPARISONS: usize = 16 << 20;

type Argument = Box<dyn Expression>;

/// What to look at before a call. Arguments are asked for twice, which is cheap beside what the function does with them.
#[derive(Debug, Clone)]
pub(super) enum Caution {
    /// Each of the first's occurrences in the text becomes the second.
    Replace { text: Argument, pattern: Argument, with: Argument },
    /// As many copies of the second as the first has bytes or elements.
    Product(Argument, Argument),
    /// As many parts as occurrences of the second.
    Split(Argument, Argument),
    /// Parts of a length.
    Chunks(Argument, Argument),
    /// The text is searched for each of the others, or at each place for all of the other.
    Searches { text: Argument, others: Argument },
    /// A text that must not be long.
    Long(Argument, usize),
    /// A path: an array is filled with null up to an index.
    Path(Argument),
    /// A format, and a time zone: not the machine's own.
    Time { format: Argument, zone: Option<Argument> },
    /// A number to format, and how many digits it shall have after the point.
    Digits(Argument, Option<Argument>),
}

impl Caution {
    pub(super) fn of(function: &str, arguments: &ArgumentList) -> Option<Self> {
        let required = |name| arguments.required(name);
        Some(match function {
            "replace" => {
                let [text, pattern, with] = ["value", "pattern", "with"].map(required);
                Caution::Replace { text, pattern, with }
            }
            "join" | "flatten" => Caution::Product(required("value"), arguments.optional("separator")?),
            "split" => Caution::Split(required("value"), required("pattern")),
            "chunks" => Caution::Chunks(required("value"), required("chunk_size")),
            "contains_all" => Caution::Searches { text: required("value"), others: required("substrings") },
            "find" => Caution::Searches { text: required("value"), others: required("pattern") },
            "camelcase" | "kebabcase" | "pascalcase" | "screamingsnakecase" | "snakecase" => {
                Caution::Long(required("value"), MAX_SLOW)
            }
            "format_timestamp" | "parse_timestamp" => {
                Caution::Time { format: required("format"), zone: arguments.optional("timezone") }
            }
            "set" => Caution::Path(required("path")),
            "format_number" => Caution::Digits(required("value"), arguments.optional("scale")),
            _ => return None,
        })
    }

    pub(super) fn check(&self, context: &mut Context, limit: usize) -> Result<(), ExpressionError> {
        match self {
            Caution::Replace { text, pattern, with } => {
                let (text, with) = (text.resolve(context)?, size(&with.resolve(context)?));
                // With a regular expression it is bounded while it is made.
                if let Some(pattern) = pattern.resolve(context)?.to_str_lossy()
                    && let Some(text) = text.to_str_lossy()
                    && text.len().saturating_mul(with) > limit
                {
                    let most = limit / with.max(1);
                    return within(text.matches(&*pattern).take(most + 1).count(), most);
                }
                Ok(())
            }
            Caution::Product(value, with) => {
                let (count, each) = (size(&value.resolve(context)?), size(&with.resolve(context)?));
                within(count.saturating_mul(each), limit)
            }
            Caution::Split(text, pattern) => {
                let most = limit / NODE;
                let text = text.resolve(context)?;
                if let Some(pattern) = pattern.resolve(context)?.to_str_lossy()
                    && let Some(text) = text.to_str_lossy().filter(|text| text.len() > most)
                {
                    return within(text.matches(&*pattern).take(most + 1).count(), most);
                }
                Ok(())
            }
            Caution::Chunks(text, length) => {
                let length =
                    length.resolve(context)?.as_integer().and_then(|length| usize::try_from(length).ok());
                within(size(&text.resolve(context)?) / length.unwrap_or(1).max(1), limit / NODE)
            }
            Caution::Searches { text, others } => {
                let others = match others.resolve(context)? {
                    Value::Array(others) => others.len(),
                    Value::Regex(_) => return Ok(()),
                    other => size(&other) / 4,
                };
                within(size(&text.resolve(context)?).saturating_mul(others), MAX_COMPARISONS)
            }
            Caution::Long(text, most) => short(&text.resolve(context)?, *most),
            Caution::Path(path) => path_is_short(&path.resolve(context)?),
            Caution::Time { format, zone } => {
                short(&format.resolve(context)?, MAX_FORMAT)?;
                match zone.as_ref().map(|zone| zone.resolve(context)).transpose()? {
                    Some(zone) => zone_is_named(&zone),
                    None => Ok(()),
                }
            }
            Caution::Digits(value, scale) => {
                let scale = scale.as_ref().map(|scale| scale.resolve(context)).transpose()?;
                digits_are_few(&value.resolve(context)?, scale.as_ref())
            }
        }
    }
}

/// Beyond a limit of size the program is stopped; it can't catch that.
fn within(count: usize, most: usize) -> Result<(), ExpressionError> {
    if count > most { Err(ExpressionError::Interrupted) } else { Ok(()) }
}

fn short(text: &Value, most: usize) -> Result<(), ExpressionError> {
    let length = size(text);
    if length > most {
        return Err(format!("text of {length} bytes; this function takes at most {most}").into());
    }
    Ok(())
}

fn path_is_short(path: &Value) -> Result<(), ExpressionError> {
    let far = |segment: &Value| matches!(segment, Value::Integer(index) if index.unsigned_abs() > MAX_INDEX);
    match path {
        Value::Array(segments) if segments.iter().any(far) || segments.len() > MAX_PATH => {
            Err(format!("a path has at most {MAX_PATH} segments and no index beyond {MAX_INDEX}").into())
        }
        _ => Ok(()),
    }
}

fn zone_is_named(zone: &Value) -> Result<(), ExpressionError> {
    if zone.to_str_lossy().is_some_and(|zone| matches!(&*zone, "" | "local")) {
        return Err("a time zone is named, for example `Europe/Paris`".into());
    }
    Ok(())
}

fn digits_are_few(value: &Value, scale: Option<&Value>) -> Result<(), ExpressionError> {
    if matches!(value, Value::Float(float) if float.abs() >= 1e15) {
        return Err("a fraction of 10^15 or more can't be formatted exactly".into());
    }
    if matches!(scale, Some(Value::Integer(digits)) if !(0..=30).contains(digits)) {
        return Err("`scale` is 0 to 30".into());
    }
    Ok(())
}

/// Bytes of text, or all the values inside.
fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(|element| size(element).max(1)).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| name.len() + size(member).max(1)).sum(),
        _ => 1,
    }
}
