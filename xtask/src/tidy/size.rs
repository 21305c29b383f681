//! Files and functions that a reader can hold in mind.

use proc_macro2::Span;
use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{Violation, source::Source};

const FILE: Limits = Limits { aim: 300, most: 600 };
const FUNCTION: Limits = Limits { aim: 60, most: 80 };

struct Limits {
    aim: usize,
    most: usize,
}

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    let file = judge(source.path, 1, "file", lines, &FILE, "split it along what it is about, one concept a file");
    found.extend(file);
    let mut functions = Functions { path: source.path, found };
    functions.visit_file(&source.ast);
    functions.found
}

fn judge(path: &str, line: usize, what: &str, lines: usize, limits: &Limits, fix: &'static str) -> Option<Violation> {
    let Limits { aim, most } = limits;
    let what = format!("{what} has {lines} lines; aim at {aim}, {most} is the limit");
    let violation = Violation::new(path, line, what, "what does not fit in mind is not reviewed", fix);
    if lines > *most { Some(violation) } else { (lines > *aim).then(|| violation.advice()) }
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<Violation>,
}

impl Functions<'_> {
    fn function(&mut self, name: &syn::Ident, start: Span, block: &syn::Block) {
        let line = start.start().line;
        let lines = block.span().end().line + 1 - line;
        let what = format!("function `{name}`");
        self.found.extend(judge(self.path, line, &what, lines, &FUNCTION, "give its steps names, as functions"));
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.function(&node.sig.ident, node.sig.span(), &node.block);
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.function(&node.sig.ident, node.sig.span(), &node.block);
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.function(&node.sig.ident, node.sig.span(), block);
        }
        visit::visit_trait_item_fn(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(usize, bool); 0] = [];

    fn found(text: &str) -> Vec<(usize, bool)> {
        let source = Source::parse("a/src/b.rs", text).unwrap();
        check(&source).iter().map(|violation| (violation.line, violation.advice)).collect()
    }

    fn function(lines: usize) -> String {
        format!("/// Doc.\n#[inline]\nfn f() {{\n{}}}\n", "    f();\n".repeat(lines - 2))
    }

    #[test]
    fn long_functions_are_found_wherever_they_are() {
        assert_eq!(found(&function(60)), NONE);
        assert_eq!(found(&function(61)), [(3, true)]);
        assert_eq!(found(&function(80)), [(3, true)]);
        assert_eq!(found(&function(81)), [(3, false)]);
        assert_eq!(found(&format!("struct S;\nimpl S {{\n{}}}\n", function(90))), [(5, false)]);
        assert_eq!(found(&format!("trait T {{\n{}}}\n", function(90))), [(4, false)]);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(found(&"const A: u8 = 1;\n".repeat(300)), NONE);
        assert_eq!(found(&"const A: u8 = 1;\n".repeat(301)), [(1, true)]);
        assert_eq!(found(&"const A: u8 = 1;\n".repeat(601)), [(1, false)]);
    }
}
