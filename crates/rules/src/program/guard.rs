//! Guards: functions that no program can call by name, put into it by [`super::survey`].

use vrl::compiler::expression::Expression;
use vrl::compiler::function::closure::{Definition, Input, Output};
use vrl::compiler::function::{ArgumentList, Closure, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::state::TypeState;
use vrl::compiler::value::kind;
use vrl::compiler::{Context, ExpressionError, Function, FunctionExpression, Resolved, TypeDef};
use vrl::diagnostic::Label;
use vrl::value::{Kind, Value};

/// Guard of the operands of `*`. The space keeps programs from calling it.
pub(super) const NUMBER: &str = "operand of *";
/// Guard of assigned values.
pub(super) const SIZE: &str = "assigned value";

/// Deepest nesting of a value a program makes; an event's own data is at most 64 deep.
pub(super) const MAX_VALUE_DEPTH: usize = 128;

/// What a value counts beside its text, in bytes: about the memory it takes; and what an object with members, which take
/// much more memory and time to copy than their text, counts.
pub(super) const NODE: usize = 40;
pub(super) const OBJECT: usize = 512;
/// What a byte of text counts: of the limit, four times what a body may have, text may take a quarter.
const TEXT: usize = 4;

const NO_TEXT: &str = "`*` multiplies numbers; text can't be repeated with it";

/// A guard; its closure gives the value it looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guard {
    /// Refuses text.
    Number,
    /// Stops the program when the value is larger than so many bytes.
    Size(usize),
}

/// Whether a value stays within `limit` bytes and [`MAX_VALUE_DEPTH`]. Looks no further than needed.
pub(super) fn is_within(value: &Value, limit: usize) -> bool {
    fn spend(value: &Value, left: usize, depth: usize) -> Option<usize> {
        let left = left.checked_sub(NODE)?;
        match value {
            Value::Bytes(bytes) => left.checked_sub(bytes.len() * TEXT),
            Value::String(text) => left.checked_sub(text.len() * TEXT),
            Value::Array(_) | Value::Object(_) if depth == 0 => None,
            Value::Array(elements) => {
                elements.iter().try_fold(left, |left, element| spend(element, left, depth - 1))
            }
            Value::Object(members) if members.is_empty() => Some(left),
            Value::Object(members) => {
                members.iter().try_fold(left.checked_sub(OBJECT)?, |left, (name, member)| {
                    spend(member, left.checked_sub(name.len() * TEXT)?, depth - 1)
                })
            }
            _ => Some(left),
        }
    }
    spend(value, limit, MAX_VALUE_DEPTH).is_some()
}

impl Function for Guard {
    fn identifier(&self) -> &'static str {
        match self {
            Guard::Number => NUMBER,
            Guard::Size(_) => SIZE,
        }
    }

    fn usage(&self) -> &'static str {
        ""
    }

    fn category(&self) -> &'static str {
        ""
    }

    fn return_kind(&self) -> u16 {
        kind::ANY
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required("value", kind::ANY, "")];
        PARAMETERS
    }

    fn closure(&self) -> Option<Definition> {
        let example = Example {
            title: "",
            source: "",
            input: None,
            result: Ok(""),
            file: file!(),
            line: line!(),
            deterministic: true,
            skip: true,
        };
        let input = Input {
            parameter_keyword: "value",
            kind: Kind::any(),
            variables: Vec::new(),
            output: Output::Kind(Kind::any().or_undefined()),
            example,
        };
        Some(Definition { inputs: vec![input], is_iterator: false, supports_break: false })
    }

    fn compile(
        &self,
        _: &TypeState,
        context: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        let closure = arguments.required_closure()?;
        let kind = closure.block_type_def.kind();
        if matches!(self, Guard::Number) && kind.is_bytes() {
            let labels = vec![Label::primary("this is text", context.span())];
            return Err(Box::new(ExpressionError::Error {
                message: NO_TEXT.to_owned(),
                labels,
                notes: Vec::new(),
            }));
        }
        Ok(Guarded { guard: *self, closure }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct Guarded {
    guard: Guard,
    closure: Closure,
}

impl FunctionExpression for Guarded {
    fn resolve(&self, context: &mut Context) -> Resolved {
        let value = self.closure.block.resolve(context)?;
        match (self.guard, &value) {
            (Guard::Number, Value::Bytes(_) | Value::String(_)) => Err(NO_TEXT.into()),
            (Guard::Size(limit), value) if !is_within(value, limit) => Err(ExpressionError::Interrupted),
            _ => Ok(value),
        }
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        let made = self.closure.block_type_def.clone();
        match self.guard {
            Guard::Number if made.kind().contains_bytes() => {
                let mut kind = made.kind().clone();
                kind.remove_bytes();
                made.with_kind(kind).fallible()
            }
            _ => made,
        }
    }
}
