//! YAML text to a tree of nodes.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::codes;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::node::{Key, Node, NodeValue};
use super::scalar::{self, Source};

/// How deep a configuration may nest.
const MAX_DEPTH: usize = 64;

/// Parses one file. An empty file is an empty map.
///
/// # Errors
/// The syntax error, with its place: malformed YAML, a duplicate key, several documents, an anchor, alias or tag
/// (not supported: they hide where a value stands), a key that is not text, nesting deeper than 64.
pub fn parse(file: &str, text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader {
        file: file.into(),
        text,
        events: Parser::new_from_str(text),
        cursor: Cursor { characters: 0, bytes: 0 },
    };
    let root = reader.document()?;
    Ok(match root {
        Some(Node { value: NodeValue::Null, place, path }) => {
            Node { value: NodeValue::Map(Vec::new()), place, path }
        }
        Some(root) => root,
        None => {
            let place = Place { file: file.into(), line: 1, column: 1 };
            Node { place, path: "".into(), value: NodeValue::Map(Vec::new()) }
        }
    })
}

struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    events: Parser<'a, StrInput<'a>>,
    cursor: Cursor,
}

/// A position both in characters, which the parser counts, and in bytes. It only moves forward, as the events do.
struct Cursor {
    characters: usize,
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Diagnostic> {
        let mut root = None;
        loop {
            let (event, span) = self.next("")?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    let problem = "a second document begins here";
                    return Err(self.error("", span, problem, "write one document, without `---`"));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next("")?;
                    root = Some(self.node(event, span, "".into(), 0)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self, path: &str) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(path, &error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: Arc<str>,
        depth: usize,
    ) -> Result<Node, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(self.error(&path, span, "nested deeper than 64", "flatten it"));
        }
        let place = self.place(span.start);
        let value = match event {
            Event::Scalar(text, style, 0, None) => self.scalar(&text, style, span, &path)?,
            Event::SequenceStart(0, None) => self.list(&path, depth)?,
            Event::MappingStart(0, None) => self.map(&path, depth)?,
            Event::Alias(_) => return Err(self.error(&path, span, "an alias", WRITE_OUT)),
            Event::Scalar(_, _, 0, Some(_))
            | Event::SequenceStart(0, Some(_))
            | Event::MappingStart(0, Some(_)) => {
                return Err(self.error(&path, span, "a tag", "leave it out; put text in quotes instead"));
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(self.error(&path, span, "an anchor", WRITE_OUT));
            }
            _ => return Err(self.error(&path, span, "a value is missing", "write one")),
        };
        Ok(Node { place, path, value })
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<NodeValue, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next(path)?;
            if event == Event::SequenceEnd {
                return Ok(NodeValue::List(items));
            }
            let path = join(path, &items.len().to_string());
            items.push(self.node(event, span, path, depth + 1)?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<NodeValue, Diagnostic> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::BTreeMap::new();
        loop {
            let (event, span) = self.next(path)?;
            if event == Event::MappingEnd {
                return Ok(NodeValue::Map(entries));
            }
            let key = self.key(event, span, path)?;
            let path = join(path, &key.name);
            if let Some(line) = seen.insert(Arc::clone(&key.name), key.place.line) {
                let message = format!("key `{}` stands here and in line {line}", key.name);
                let hint = Some("remove one of them".to_owned());
                return Err(self.diagnostic(codes::DUPLICATE, key.place, &path, message, hint));
            }
            let (event, span) = self.next(&path)?;
            let node = self.node(event, span, path, depth + 1)?;
            entries.push((key, node));
        }
    }

    fn key(&self, event: Event<'a>, span: Span, path: &str) -> Result<Key, Diagnostic> {
        let Event::Scalar(text, style, 0, None) = event else {
            return Err(self.error(path, span, "a key that is not text", "write a name before the colon"));
        };
        if style == ScalarStyle::Plain && !matches!(scalar::plain(&text), Ok(None)) {
            let message = format!("key `{text}` is not text");
            return Err(self.error(path, span, &message, "write it in quotes"));
        }
        Ok(Key { name: text.as_ref().into(), place: self.place(span.start) })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        span: Span,
        path: &str,
    ) -> Result<NodeValue, Diagnostic> {
        if style == ScalarStyle::Plain {
            match scalar::plain(text) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(problem) => {
                    let message = format!("{text} is {problem}");
                    let hint = Some("write it in quotes when it is text".to_owned());
                    return Err(self.diagnostic(
                        codes::WRONG_VALUE,
                        self.place(span.start),
                        path,
                        message,
                        hint,
                    ));
                }
            }
        }
        let place = self.place(span.start);
        let source = Source { text: self.source_from(span.start), line: place.line, column: place.column };
        Ok(NodeValue::Text { text: text.into(), marks: scalar::marks(style, source, text) })
    }

    /// The file's text from a marker on.
    fn source_from(&mut self, marker: Marker) -> &'a str {
        if marker.index() < self.cursor.characters {
            self.cursor = Cursor { characters: 0, bytes: 0 };
        }
        let rest = self.text.get(self.cursor.bytes..).unwrap_or_default();
        let skip = marker.index() - self.cursor.characters;
        let bytes = rest.char_indices().nth(skip).map_or(rest.len(), |(offset, _)| offset);
        self.cursor = Cursor { characters: marker.index(), bytes: self.cursor.bytes + bytes };
        self.text.get(self.cursor.bytes..).unwrap_or_default()
    }

    fn place(&self, marker: Marker) -> Place {
        Place { file: Arc::clone(&self.file), line: marker.line().max(1), column: marker.col() + 1 }
    }

    fn syntax(&self, path: &str, error: &ScanError) -> Diagnostic {
        let message = format!("not YAML: {}", error.info());
        self.diagnostic(codes::SYNTAX, self.place(*error.marker()), path, message, None)
    }

    fn error(&self, path: &str, span: Span, message: &str, hint: &str) -> Diagnostic {
        self.diagnostic(
            codes::SYNTAX,
            self.place(span.start),
            path,
            message.to_owned(),
            Some(hint.to_owned()),
        )
    }

    fn diagnostic(
        &self,
        code: &'static str,
        place: Place,
        path: &str,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Error, place, path: path.to_owned(), message, hint, code }
    }
}

const WRITE_OUT: &str = "write the value out: an error could not be traced to its place through an alias";

fn join(path: &str, name: &str) -> Arc<str> {
    if path.is_empty() { name.into() } else { format!("{path}.{name}").into() }
}
