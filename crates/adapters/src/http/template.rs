//! Templates: text with `{{ .path }}` in it.

use std::fmt;

use trunkline_sdk::Value;

/// Text with placeholders, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// What stands at a path.
    Path(Path),
}

/// A path such as `.data.lines[0].sku`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The first name: `data`, `body`, `ext`, `id`, ..
    pub(super) root: String,
    pub(super) steps: Vec<Step>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

const ROOTS: [&str; 8] = ["id", "source", "type", "subject", "time", "ext", "data", "body"];

impl Template {
    /// Compiles a template. The error says what is wrong, in words.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (path, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
            pieces.push(Piece::Path(Path::compile(path.trim())?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The template's value, given what stands at a path.
    pub(super) fn render<E>(&self, mut at: impl FnMut(&Path) -> Result<String, E>) -> Result<String, E> {
        self.pieces.iter().try_fold(String::new(), |mut text, piece| {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Path(path) => text.push_str(&at(path)?),
            }
            Ok(text)
        })
    }
}

impl Path {
    fn compile(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| format!("`{{{{ {text} }}}}` {problem}");
        let inner =
            text.strip_prefix('.').ok_or_else(|| wrong("must begin with a dot, as in {{ .data.id }}"))?;
        let mut names = inner.split('.');
        let root = names.next().unwrap_or_default().to_owned();
        if !ROOTS.contains(&root.as_str()) {
            return Err(wrong(&format!("must begin with one of .{}", ROOTS.join(", ."))));
        }
        let mut steps = Vec::new();
        for part in names {
            let (name, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.is_empty() || name.contains([' ', '{', '}', ']', '"', '|', '(']) {
                return Err(wrong("has a part that is no field's name"));
            }
            steps.push(Step::Name(name.to_owned()));
            while !indexes.is_empty() {
                let (index, rest) = indexes
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .ok_or_else(|| wrong("has an index that is not like [0]"))?;
                steps.push(Step::Index(
                    index.parse().map_err(|_other| wrong("has an index that is not like [0]"))?,
                ));
                indexes = rest;
            }
        }
        let nested = matches!(root.as_str(), "ext" | "data" | "body");
        match (nested, steps.is_empty()) {
            (true, true) => Err(wrong("names a whole object; name a field of it")),
            (false, false) => Err(wrong("goes into something that has no fields")),
            _ => Ok(Self { root, steps }),
        }
    }

    /// What stands below `value`.
    pub(super) fn walk<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(value, |value, step| match (step, value) {
            (Step::Name(name), value) => value.get(name),
            (Step::Index(index), Value::Array(items)) => items.get(*index),
            (Step::Index(_), _) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}", self.root)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Name(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}
