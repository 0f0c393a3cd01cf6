//! Files under 500 lines, functions under 60, `main.rs` under 60; tests and generated code not counted.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use trunkline_tests::workspace;

const FILE: usize = 500;
const FUNCTION: usize = 60;
const MAIN: usize = 60;

#[derive(Default)]
struct Lengths {
    functions: Vec<(String, usize)>,
    test_lines: usize,
}

fn lines(span: proc_macro2::Span) -> usize {
    span.end().line + 1 - span.start().line
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let cfg_test = path.is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"));
        cfg_test || path.segments.last().is_some_and(|segment| segment.ident == "test")
    })
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if is_test(&module.attrs) {
            self.test_lines += lines(module.span());
        } else {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            self.functions.push((function.sig.ident.to_string(), lines(function.block.span())));
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.functions.push((function.sig.ident.to_string(), lines(function.block.span())));
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.functions.push((function.sig.ident.to_string(), lines(block.span())));
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// A file of tests inside a crate: what stands in it is a test, or a table that serves one.
fn is_test_file(path: &Path) -> bool {
    path.starts_with("crates") && path.iter().any(|part| part == "tests" || part == "tests.rs")
}

fn measure(path: &Path, text: &str) -> Lengths {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lengths = Lengths::default();
    lengths.visit_file(&file);
    lengths
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    let mut functions = 0;
    for (path, text) in workspace::rust_files() {
        let lengths = measure(&path, &text);
        let name = path.display();
        let own = text.lines().count() - lengths.test_lines.min(text.lines().count());
        let limit = if path.ends_with("src/main.rs") { MAIN } else { FILE };
        if own > limit {
            long.push(format!("{name}: {own} lines without tests, {limit} permitted"));
        }
        functions += lengths.functions.len();
        if is_test_file(&path) {
            continue;
        }
        for (function, length) in lengths.functions.iter().filter(|(_, length)| *length > FUNCTION) {
            long.push(format!("{name}: fn {function} has {length} lines, {FUNCTION} permitted"));
        }
    }
    assert!(functions > 300, "only {functions} functions were measured: are all crates read?");
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn a_long_function_is_noticed() {
    let body = "let _x = 1;\n".repeat(70);
    let lengths = measure(
        Path::new("example.rs"),
        &format!("fn long() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\nfn t() {{}}\n}}\n"),
    );
    assert_eq!(lengths.functions.iter().filter(|(_, length)| *length > FUNCTION).count(), 1);
    assert!(lengths.test_lines >= 3);
}
