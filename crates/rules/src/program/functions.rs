//! The functions programs may call: those whose answer depends on their arguments alone.
//!
//! Left out is all that asks a clock, chance, the environment, a network, a file or a log, and what can take long or
//! grow much at one call (decompression, parsers of other formats, regular expressions made at run time). The others
//! are wrapped: what they make is held to the size limit, and where a small call could make something huge or take long
//! (`replace`, `join`, a regular expression, ..) the arguments are weighed first.

use vrl::compiler::expression::Expression;
use vrl::compiler::function::closure::Definition;
use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::state::{TypeInfo, TypeState};
use vrl::compiler::{Context, ExpressionError, Function, Resolved};
use vrl::value::Value;

use super::caution::Caution;
use super::guard::{Guard, is_within};
use super::search::Search;

/// Functions programs may call, in ascending order.
pub(super) const ALLOWED: &[&str] = &[
    "abs",
    "append",
    "array",
    "assert",
    "assert_eq",
    "basename",
    "bool",
    "camelcase",
    "ceil",
    "chunks",
    "compact",
    "contains",
    "contains_all",
    "decode_base16",
    "decode_base64",
    "decode_percent",
    "del",
    "dirname",
    "downcase",
    "encode_base16",
    "encode_base64",
    "encode_json",
    "encode_percent",
    "ends_with",
    "exists",
    "filter",
    "find",
    "flatten",
    "float",
    "floor",
    "for_each",
    "format_int",
    "format_number",
    "format_timestamp",
    "from_entries",
    "from_unix_timestamp",
    "get",
    "includes",
    "int",
    "ip_cidr_contains",
    "is_array",
    "is_boolean",
    "is_empty",
    "is_float",
    "is_integer",
    "is_ipv4",
    "is_ipv6",
    "is_json",
    "is_null",
    "is_nullish",
    "is_object",
    "is_string",
    "is_timestamp",
    "join",
    "kebabcase",
    "keys",
    "length",
    "map_keys",
    "map_values",
    "match",
    "match_any",
    "match_array",
    "merge",
    "mod",
    "object",
    "object_from_array",
    "parse_duration",
    "parse_float",
    "parse_int",
    "parse_json",
    "parse_query_string",
    "parse_regex",
    "parse_regex_all",
    "parse_timestamp",
    "parse_url",
    "pascalcase",
    "pop",
    "push",
    "remove",
    "replace",
    "round",
    "screamingsnakecase",
    "set",
    "slice",
    "snakecase",
    "split",
    "starts_with",
    "string",
    "strip_whitespace",
    "strlen",
    "tally",
    "tally_value",
    "timestamp",
    "to_bool",
    "to_entries",
    "to_float",
    "to_int",
    "to_string",
    "to_unix_timestamp",
    "truncate",
    "unflatten",
    "unique",
    "upcase",
    "values",
    "zip",
];

/// Whether VRL has a function of this name, allowed here or not.
pub(super) fn exists(name: &str) -> bool {
    vrl::stdlib::all().iter().any(|function| function.identifier() == name)
}

/// The functions to compile programs with, guards included. `limit` bounds every value they make, in bytes.
pub(super) fn with_limit(limit: usize) -> Vec<Box<dyn Function>> {
    let allowed = vrl::stdlib::all().into_iter().filter(|function| ALLOWED.contains(&function.identifier()));
    let bounded = allowed.map(|inner| Box::new(Bounded { inner, limit }) as Box<dyn Function>);
    let guards = [Guard::Number, Guard::Size(limit)].map(|guard| Box::new(guard) as Box<dyn Function>);
    bounded.chain(guards).collect()
}

/// A function of VRL whose result is held to a limit.
#[derive(Debug)]
struct Bounded {
    inner: Box<dyn Function>,
    limit: usize,
}

impl Function for Bounded {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn usage(&self) -> &'static str {
        self.inner.usage()
    }

    fn category(&self) -> &'static str {
        self.inner.category()
    }

    fn return_kind(&self) -> u16 {
        self.inner.return_kind()
    }

    fn pure(&self) -> bool {
        self.inner.pure()
    }

    fn examples(&self) -> &'static [Example] {
        self.inner.examples()
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.inner.parameters()
    }

    fn closure(&self) -> Option<Definition> {
        self.inner.closure()
    }

    fn compile(
        &self,
        state: &TypeState,
        context: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        let caution = Caution::of(self.identifier(), &arguments);
        let search = Search::of(self.identifier(), &arguments, state);
        let inner = self.inner.compile(state, context, arguments)?;
        Ok(Box::new(BoundedCall { inner, limit: self.limit, caution, search }))
    }
}

#[derive(Debug, Clone)]
struct BoundedCall {
    inner: Box<dyn Expression>,
    limit: usize,
    caution: Option<Caution>,
    search: Option<Search>,
}

impl Expression for BoundedCall {
    fn resolve(&self, context: &mut Context) -> Resolved {
        if let Some(caution) = &self.caution {
            caution.check(context, self.limit)?;
        }
        let found = match &self.search {
            Some(search) => search.run(context, self.limit)?,
            None => None,
        };
        let value = found.map_or_else(|| self.inner.resolve(context), Ok)?;
        if is_within(&value, self.limit) { Ok(value) } else { Err(ExpressionError::Interrupted) }
    }

    fn resolve_constant(&self, state: &TypeState) -> Option<Value> {
        self.inner.resolve_constant(state)
    }

    fn type_info(&self, state: &TypeState) -> TypeInfo {
        self.inner.type_info(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_function_exists() {
        assert!(ALLOWED.is_sorted());
        for name in ALLOWED {
            assert!(exists(name), "{name}");
        }
    }

    #[test]
    fn nothing_that_reaches_outside_is_allowed() {
        for name in
            ["now", "random_int", "uuid_v4", "uuid_v7", "get_env_var", "get_hostname", "log", "dns_lookup"]
        {
            assert!(!ALLOWED.contains(&name), "{name}");
        }
        for name in
            ["encrypt", "decrypt", "http_request", "parse_proto", "validate_json_schema", "decode_zstd"]
        {
            assert!(!ALLOWED.contains(&name), "{name}");
        }
    }
}
