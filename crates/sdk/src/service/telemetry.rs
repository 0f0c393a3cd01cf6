//! Logs: to standard error, for people or for machines, with nothing in them that a terminal would obey.

use std::io::{self, Write};
use std::str::FromStr;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Human,
    /// A JSON object per line.
    Json,
}

/// Why logs can't be written as asked.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `TRUNKLINE_LOG` is no filter.
    #[error("`{filter}` is no log filter; write for example `info` or `info,trunkline_router=debug`")]
    Filter {
        /// What was asked for.
        filter: String,
        /// Why it is none.
        #[source]
        cause: tracing_subscriber::filter::ParseError,
    },
    /// `TRUNKLINE_LOG_FORMAT` is no format.
    #[error("`{0}` is no log format; there are `human` and `json`")]
    Format(String),
    /// Logs are already written in another way.
    #[error("logs are already set up")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts to write logs to standard error. What is `None` is taken from `TRUNKLINE_LOG` (default `info`) and
/// `TRUNKLINE_LOG_FORMAT` (default `human`). Control characters in a line (an event's id may hold any) are escaped.
///
/// # Errors
/// [`TelemetryError`].
pub fn init_logs(filter: Option<&str>, format: Option<LogFormat>) -> Result<(), TelemetryError> {
    let filter = match (filter, std::env::var("TRUNKLINE_LOG")) {
        (Some(filter), _) => filter.to_owned(),
        (None, Ok(filter)) if !filter.is_empty() => filter,
        _ => "info".to_owned(),
    };
    let format = match (format, std::env::var("TRUNKLINE_LOG_FORMAT")) {
        (Some(format), _) => format,
        (None, Ok(format)) if !format.is_empty() => format.parse()?,
        _ => LogFormat::default(),
    };
    let parsed = EnvFilter::try_new(&filter).map_err(|cause| TelemetryError::Filter { filter, cause })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(Escaping(io::stderr))
        // Colours are control characters themselves.
        .with_ansi(false);
    match format {
        LogFormat::Human => builder.finish().with(ours()).try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().with(ours()).try_init()?,
    }
    Ok(())
}

/// Leaves out what RabbitMQ's client library says, whatever the filter: it logs a returned message with its body, at any level
/// its frames, and calls an error what is the broker's ordinary answer. The engine says what matters of it.
fn ours<S: Subscriber>() -> impl Layer<S> {
    filter_fn(|metadata| metadata.target().split("::").next() != Some("lapin"))
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(TelemetryError::Format(text.to_owned())),
        }
    }
}

/// Escapes the control characters of each line but the newline at its end.
struct Escaping<M>(M);

/// Collects a line, which tracing-subscriber writes in one piece or in several, and writes it escaped when dropped.
struct EscapedLine<W: Write> {
    line: Vec<u8>,
    writer: W,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Escaping<M> {
    type Writer = EscapedLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedLine { line: Vec::new(), writer: self.0.make_writer() }
    }
}

impl<W: Write> Write for EscapedLine<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for EscapedLine<W> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        // A log that can't be written must not stop what is logged about.
        drop(self.writer.write_all(escape(&text).as_bytes()));
    }
}

fn escape(line: &str) -> String {
    let (line, end) = match line.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (line, ""),
    };
    let mut escaped = String::with_capacity(line.len() + 1);
    for character in line.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            // Marks that turn the direction of text make a line read as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push_str(&unicode(character)),
            _ if character.is_control() => escaped.push_str(&unicode(character)),
            _ => escaped.push(character),
        }
    }
    escaped.push_str(end);
    escaped
}

/// As in JSON, so that both formats stay what they are.
fn unicode(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "a\u{1b}[31mred\nERROR forged\r\u{9b}2J\u{202e}";

    /// One event with a hostile id in its span, its field and its message.
    fn logged(json: bool) -> String {
        let sink = Sink::default();
        let written = sink.clone();
        let builder = tracing_subscriber::fmt().with_writer(Escaping(move || sink.clone())).with_ansi(false);
        let log = || {
            let _span = tracing::info_span!("request", event = HOSTILE).entered();
            tracing::info!(id = %HOSTILE, "received {HOSTILE}");
        };
        if json {
            tracing::subscriber::with_default(builder.json().finish(), log);
        } else {
            tracing::subscriber::with_default(builder.finish(), log);
        }
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_hostile_id_stays_in_its_line() {
        for json in [false, true] {
            let text = logged(json);
            let line = text.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
            assert!(line.contains("forged"), "{line:?}");
            if json {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }

    #[test]
    fn the_contents_of_messages_are_not_logged_by_a_library() {
        let sink = Sink::default();
        let written = sink.clone();
        let builder = tracing_subscriber::fmt().with_writer(Escaping(move || sink.clone())).with_ansi(false);
        let everything = builder.with_env_filter(EnvFilter::new("trace,lapin=trace")).finish().with(ours());
        tracing::subscriber::with_default(everything, || {
            tracing::warn!(target: "lapin::channel", "Server returned us a message: secret");
            tracing::error!(target: "lapin", "secret");
            tracing::debug!(target: "lapino", "somebody else");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("secret") && text.contains("somebody else"), "{text}");
    }

    #[test]
    fn formats_and_filters_are_checked() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert!("xml".parse::<LogFormat>().is_err());
        assert!(matches!(init_logs(Some("trunkline=verybad"), None), Err(TelemetryError::Filter { .. })));
    }
}
