//! From a program's text to something that runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trunkline_core::Body;
use trunkline_core::config::{Diagnostic, Diagnostics, Node, Severity};
use vrl::compiler::state::{ExternalEnv, LocalEnv, TypeState};
use vrl::compiler::unused_expression_checker::check_for_unused_results;
use vrl::compiler::{CompileConfig, Function, TimeZone};
use vrl::diagnostic::{Diagnostic as VrlDiagnostic, DiagnosticList, Span};
use vrl::parser::ast::RootExpr;
use vrl::value::{Kind, Value as Vrl};

use super::body::Form;
use super::survey::{self, Survey};
use super::types::{DataType, event_kind};
use super::{Limits, Meter, RunError, check, functions, run};
use crate::codes;
use crate::suggest::did_you_mean;

/// Longest program, in bytes.
const MAX_PROGRAM: usize = 32 * 1024;

/// VRL's code for a call of a function it does not have; this crate says it better.
const UNDEFINED_FUNCTION: usize = 105;

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its value is true or false.
    Condition,
    /// Its value is a body, which must be text where `text` is set.
    Transform { text: bool },
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Program {
    inner: vrl::compiler::Program,
    reads_data: bool,
    utc: TimeZone,
}

/// Compiles programs with the same functions and limits.
pub(crate) struct Compiler {
    functions: Vec<Box<dyn Function>>,
}

/// How large a value inside a program may be.
pub(super) fn value_limit(limits: &Limits) -> usize {
    limits.output.saturating_mul(4)
}

impl Program {
    /// Whether the event passes the condition.
    pub(crate) fn holds(&self, input: &run::Input<'_>, meter: &mut Meter<'_>) -> Result<bool, RunError> {
        self.run(input, meter, |value, _| match value {
            Vrl::Boolean(truth) => Ok(truth),
            other => Err(RunError::Failed(format!("a condition is true or false, not {}", other.kind_str()))),
        })
    }

    /// The body for the event.
    pub(crate) fn render(
        &self,
        form: &Form,
        input: &run::Input<'_>,
        meter: &mut Meter<'_>,
    ) -> Result<Body, RunError> {
        self.run(input, meter, |value, limits| form.body(&value, limits.output))
    }

    /// Runs it; what becomes of its value is a part of the run.
    fn run<T>(
        &self,
        input: &run::Input<'_>,
        meter: &mut Meter<'_>,
        finish: impl FnOnce(Vrl, &Limits) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let (event, limits) = (input.value(self.reads_data)?, meter.limits);
        meter.run(|stopwatch| {
            let value = run::run(&self.inner, event, stopwatch, &self.utc)?;
            value.map(|value| finish(value, limits)).transpose()
        })
    }
}

impl Compiler {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { functions: functions::with_limit(value_limit(limits)) }
    }

    /// Compiles the program in a text node, for events whose data has one of these types. All mistakes go to
    /// `diagnostics`; `None` when there was an error.
    pub(crate) fn compile(
        &self,
        node: &Node,
        purpose: Purpose,
        types: &[DataType],
        diagnostics: &mut Diagnostics,
    ) -> Option<Program> {
        let Some(text) = node.as_text().filter(|text| !text.trim().is_empty()) else {
            diagnostics.push(node.error(codes::PROGRAM, "a VRL program is needed here", None));
            return None;
        };
        if text.len() > MAX_PROGRAM {
            let message = format!("the program is longer than {MAX_PROGRAM} bytes");
            diagnostics.push(node.error(codes::PROGRAM_LIMIT, message, None));
            return None;
        }
        // A panic of the compiler is this program's mistake, not the end of the process.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.try_compile(node, text, purpose, types)));
        let (program, found) = attempt.unwrap_or_else(|_panic| {
            (None, vec![node.error(codes::PROGRAM, "the VRL compiler panicked on this program", None)])
        });
        diagnostics.extend(found);
        program
    }

    fn try_compile(
        &self,
        node: &Node,
        text: &str,
        purpose: Purpose,
        types: &[DataType],
    ) -> (Option<Program>, Vec<Diagnostic>) {
        let parsed = match vrl::parser::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let list = DiagnosticList::from(vec![Box::new(error) as Box<_>]);
                return (None, list.iter().map(|said| translate(node, said)).collect());
            }
        };
        let (guarded, survey) = survey::survey(parsed.clone());
        let mut found = beyond_limits(node, &survey);
        if !found.is_empty() {
            return (None, found);
        }
        found.extend(calls(node, &survey));
        let paths = check::paths(node, &survey.reads, types);
        // A path that is nowhere reads as null: said once is enough.
        let no_such_path = paths.iter().any(|one| one.severity == Severity::Error);
        found.extend(paths);
        found.extend(check_for_unused_results(&parsed).iter().map(|said| translate(node, said)));
        let last = parsed.into_iter().last().map(vrl::parser::ast::Node::into_inner);
        match self.finish(guarded, &survey, types) {
            Err(list) => {
                let said = list.iter().filter(|said| said.code != UNDEFINED_FUNCTION);
                found.extend(said.map(|said| translate(node, said)));
                (None, found)
            }
            Ok((inner, warnings)) => {
                found.extend(warnings.iter().map(|said| translate(node, said)));
                let made = inner.final_type_info().result.kind().clone();
                let last = match &last {
                    Some(RootExpr::Expr(expr)) => Some(expr),
                    _ => None,
                };
                found.extend(check_purpose(node, purpose, &made));
                if purpose != Purpose::Condition && !no_such_path {
                    found.extend(check::nulls(node, &made, last));
                }
                let sound = found.iter().all(|one| one.severity != Severity::Error);
                let reads_data = survey::reads_data(&survey.reads);
                // UTC is in every time zone database; without one, there would be no other zone either.
                let utc = TimeZone::parse("UTC").unwrap_or_default();
                (sound.then_some(Program { inner, reads_data, utc }), found)
            }
        }
    }

    fn finish(
        &self,
        program: vrl::parser::Program,
        survey: &Survey,
        types: &[DataType],
    ) -> Result<(vrl::compiler::Program, DiagnosticList), DiagnosticList> {
        let event = event_kind(types, survey.reads.iter().map(|(path, _)| path));
        let external = ExternalEnv::new_with_kind(event, Kind::object(vrl::value::kind::Collection::empty()));
        let state = TypeState { local: LocalEnv::default(), external };
        let mut config = CompileConfig::default();
        config.set_read_only();
        let done = vrl::compiler::Compiler::compile(&self.functions, program, &state, config)?;
        Ok((done.program, done.warnings))
    }
}

fn check_purpose(node: &Node, purpose: Purpose, made: &Kind) -> Option<Diagnostic> {
    match purpose {
        Purpose::Condition if !made.is_boolean() && !made.is_never() => {
            let hint = Some("compare with something, for example `== true` or `!= null`".to_owned());
            let message = format!("a condition must be true or false; this is {made}");
            Some(node.error(codes::PROGRAM, message, hint))
        }
        Purpose::Transform { text: true } if !made.contains_bytes() && !made.is_never() => {
            let hint =
                Some("make text, for example with `encode_json(..)`, or leave `content_type` out".to_owned());
            Some(node.error(
                codes::PROGRAM,
                format!("`content_type` is not JSON and needs text; this is {made}"),
                hint,
            ))
        }
        _ => None,
    }
}

fn beyond_limits(node: &Node, survey: &Survey) -> Vec<Diagnostic> {
    let error = |(span, message): &(Span, String)| {
        check::error_at(node, *span, codes::PROGRAM_LIMIT, message.clone(), None)
    };
    survey.beyond.iter().take(1).map(error).collect()
}

/// Calls of functions that are not there, or not allowed.
fn calls<'a>(node: &'a Node, survey: &'a Survey) -> impl Iterator<Item = Diagnostic> + 'a {
    let bad = survey.calls.iter().filter(|(name, _)| !functions::ALLOWED.contains(&name.as_str()));
    bad.map(move |(name, span)| {
        let (message, hint) = if functions::exists(name) {
            let why = "what a program says depends on the event alone: no clock, chance, environment, network or log";
            (format!("function `{name}` is not available here"), Some(why.to_owned()))
        } else {
            let hint = did_you_mean(name, functions::ALLOWED.iter().copied());
            (format!("there is no function `{name}`"), hint)
        };
        check::error_at(node, *span, codes::PROGRAM_FUNCTION, message, hint)
    })
}

/// What VRL says, at its place in the file.
fn translate(node: &Node, said: &VrlDiagnostic) -> Diagnostic {
    let label = said.labels.iter().find(|label| label.primary).or(said.labels.first());
    let message = match label {
        Some(label) if !label.message.is_empty() && label.message != said.message => {
            format!("{}: {}", said.message, label.message)
        }
        _ => said.message.clone(),
    };
    let context: Vec<_> =
        said.labels.iter().filter(|label| !label.primary).map(|label| &*label.message).collect();
    let notes = said.notes.iter().filter_map(|note| match note {
        vrl::diagnostic::Note::Hint(hint) => Some(hint.as_str()),
        _ => None,
    });
    let hint: Vec<&str> = context.into_iter().chain(notes).filter(|text| !text.is_empty()).collect();
    let hint = (!hint.is_empty()).then(|| hint.join("; "));
    let span = label.map(|label| label.span).unwrap_or_default();
    let error = check::error_at(node, span, codes::PROGRAM, message, hint);
    if said.is_problem() { error } else { Diagnostic { severity: Severity::Warning, ..error } }
}
