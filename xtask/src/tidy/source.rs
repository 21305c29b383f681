//! A source file as the rules see it.

use anyhow::{Context as _, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Item};

/// Crate of the binary and its stages.
pub(super) const USER: &str = "interceptor-user/src/";

/// A parsed file.
pub(super) struct Source<'a> {
    /// From the root of the repository, with `/`.
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) ast: syn::File,
    /// Tokens outside of test code, groups flattened (delimiters included).
    pub(super) tokens: Vec<Token>,
}

/// A token that matters to a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl<'a> Source<'a> {
    pub(super) fn parse(path: &'a str, text: &'a str) -> Result<Self> {
        let ast = syn::parse_file(text).with_context(|| format!("{path} does not parse"))?;
        let mut tokens = Vec::new();
        if !is_test_file(path) {
            let mut production = ast.clone();
            strip_tests(&mut production.items);
            flatten(production.items.iter().map(tokens_of).collect(), &mut tokens);
        }
        Ok(Self { path, text, ast, tokens })
    }

    /// The module of `interceptor-user` that it belongs to: `flow` for `flow/table.rs` and for `flow.rs`.
    pub(super) fn stage(&self) -> Option<&str> {
        let inside = self.path.strip_prefix(USER)?;
        Some(inside.split('/').next()?.trim_end_matches(".rs"))
    }

    /// Names of the modules from the crate's root down to this file.
    pub(super) fn module(&self) -> Vec<&str> {
        let inside = self.path.split_once("/src/").map_or(self.path, |(_, inside)| inside);
        let mut names: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        if matches!(names.last(), Some(&("mod" | "lib" | "main"))) {
            names.pop();
        }
        names
    }
}

/// Files that only a test build compiles.
fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

fn tokens_of(item: &Item) -> TokenStream {
    use quote::ToTokens as _;
    item.to_token_stream()
}

/// Removes `#[cfg(test)]` and `#[test]` items, in inline modules too.
fn strip_tests(items: &mut Vec<Item>) {
    items.retain(|item| !attributes(item).iter().any(is_test));
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &mut module.content
        {
            strip_tests(items);
        }
    }
}

fn is_test(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    // `cfg(test)` and `cfg(all(test, …))`; `cfg(not(test))` is production code.
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| {
            let text = list.tokens.to_string();
            !text.contains("not") && text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
        })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                into.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), into);
                into.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            // What a literal says is no code; it keeps its place.
            TokenTree::Literal(_) => into.push(Token { text: "\"".to_owned(), line }),
            TokenTree::Ident(ident) => into.push(Token { text: ident.to_string(), line }),
            TokenTree::Punct(punct) => into.push(Token { text: punct.as_char().to_string(), line }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str, text: &str) -> Vec<String> {
        Source::parse(path, text).unwrap().tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn test_code_is_left_out() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn hidden() {} }\nmod m { #[cfg(all(test, unix))] fn h() {} }";
        assert_eq!(words("x/src/a.rs", text), ["fn", "a", "(", ")", "{", "}", "mod", "m", "{", "}"]);
        assert!(words("x/src/flow/tests.rs", text).is_empty());
        assert!(words("x/src/a.rs", "#[cfg(not(test))]\nfn b() {}").contains(&"b".to_owned()));
    }

    #[test]
    fn modules_follow_paths() {
        let module = |path| Source::parse(path, "").unwrap().module().join("::");
        assert_eq!(module("interceptor-user/src/flow/table.rs"), "flow::table");
        assert_eq!(module("interceptor-user/src/flow/mod.rs"), "flow");
        assert_eq!(module("interceptor-user/src/lib.rs"), "");
        let source = Source::parse("interceptor-user/src/session.rs", "").unwrap();
        assert_eq!(source.stage(), Some("session"));
    }
}
