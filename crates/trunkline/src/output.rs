//! What is printed: text for people, one JSON object a line for scripts.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;
use trunkline_core::config::{Diagnostic, Severity};

/// Prints one JSON object as a line.
pub(crate) fn json(value: &Value) {
    line(&json_text(&value.to_string()));
}

/// Prints JSON over several lines, for people.
pub(crate) fn pretty(value: &Value) {
    for text in format!("{value:#}").lines() {
        line(&json_text(text));
    }
}

/// JSON text escapes some control characters by itself; those that are left can only stand inside its strings.
fn json_text(text: &str) -> String {
    escaped(text, |character| format!("\\u{:04x}", u32::from(character)))
}

/// Prints lines of text from elsewhere, their control characters made visible.
pub(crate) fn text(text: &str) {
    text.lines().for_each(|part| line(&shown(part)));
}

/// Prints a line. A reader that went away (`| head`) is no error of ours.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        drop(out);
    }
}

/// Prints columns, the last one unpadded; widths fit the longest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded = cells.iter().enumerate().map(|(index, cell)| {
            let fill = if index == last { 0 } else { widths[index].saturating_sub(cell.chars().count()) };
            format!("{cell}{}", " ".repeat(fill))
        });
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    print(head.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}

/// Text of a JSON value in a cell: control characters can't move the terminal.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => shown(text),
        other => shown(&other.to_string()),
    }
}

/// Text with its control characters made visible.
pub(crate) fn shown(text: &str) -> String {
    escaped(text, |character| character.escape_default().to_string())
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    // Marks that turn the direction of text make a line read as another one.
    let moves = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if moves(character) { shown.push_str(&escape(character)) } else { shown.push(character) }
    }
    shown
}

/// Prints diagnostics, by place.
pub(crate) fn diagnostics(list: &[Diagnostic], as_json: bool) {
    for diagnostic in list {
        if as_json {
            json(&serde_json::json!({
                "severity": diagnostic.severity.to_string(),
                "code": diagnostic.code,
                "file": &*diagnostic.place.file,
                "line": diagnostic.place.line,
                "column": diagnostic.place.column,
                "path": diagnostic.path,
                "message": diagnostic.message,
                "hint": diagnostic.hint,
            }));
        } else {
            text(&diagnostic.to_string());
        }
    }
}

/// How many errors and warnings there are.
pub(crate) fn counted(list: &[Diagnostic]) -> (usize, usize) {
    let errors = list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    (errors, list.len() - errors)
}

/// Prints an error with its causes to standard error.
pub(crate) fn failure(error: &anyhow::Error) {
    let mut err = io::stderr().lock();
    let mut told = format!("trunkline: {error}\n");
    for cause in error.chain().skip(1) {
        told.push_str(&format!("  because: {cause}\n"));
    }
    for part in told.lines() {
        if writeln!(err, "{}", shown(part)).is_err() {
            return;
        }
    }
}

/// Whether progress may be drawn.
pub(crate) fn on_terminal() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(shown("a\u{1b}[31mb\u{9b}2J\u{202e}c\r"), "a\\u{1b}[31mb\\u{9b}2J\\u{202e}c\\r");
        assert_eq!(json_text(&Value::from("a\u{7f}\u{9b}é").to_string()), "\"a\\u007f\\u009bé\"");
        assert_eq!(cell(&serde_json::json!(["a\u{9b}"])), "[\"a\\u{9b}\"]");
    }
}
