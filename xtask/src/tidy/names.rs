//! Modules are named after what they are about.

use syn::{
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{
    Violation,
    source::{Source, USER},
};

const FORBIDDEN: &[&str] = &["util", "utils", "helper", "helpers", "misc", "stuff"];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut inline = Inline { source, found: Vec::new() };
    // The folders above are named once, by the file that is their module.
    if let Some(name) = source.module().last() {
        inline.name(name, 1);
    }
    inline.visit_file(&source.ast);
    inline.found
}

struct Inline<'a> {
    source: &'a Source<'a>,
    found: Vec<Violation>,
}

impl Inline<'_> {
    fn name(&mut self, name: &str, line: usize) {
        let common = name == "common" && self.source.path.starts_with(USER);
        if common || FORBIDDEN.contains(&name) {
            self.found.push(Violation::new(
                self.source.path,
                line,
                format!("module `{name}`"),
                "a name that says nothing gathers what nobody looks for there",
                "name it after the concept that its content serves, or move the content to its only user",
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Inline<'_> {
    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        // `mod x;` is the file x.rs, which speaks for itself.
        if node.content.is_some() {
            self.name(&node.ident.to_string(), node.span().start().line);
        }
        visit::visit_item_mod(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::parse(path, text).unwrap()).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(lines("interceptor-user/src/flow/utils.rs", ""), [1]);
        assert_eq!(lines("interceptor-user/src/helpers/mod.rs", ""), [1]);
        assert_eq!(lines("interceptor-user/src/common.rs", ""), [1]);
        assert_eq!(lines("tests/src/common.rs", ""), NONE);
        assert_eq!(lines("xtask/src/a.rs", "fn f() {}\nmod misc {\n}\n"), [2]);
        assert_eq!(lines("interceptor-user/src/flow/mod.rs", "mod table;"), NONE);
    }
}
