//! Who may import whom: data runs one way, and the middle of the pipeline does no I/O and asks no clock.

use syn::{
    UseTree,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{
    Violation,
    source::{Source, Token},
};

/// A module and the local modules that it may import besides itself.
const STAGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("flow", &["model"]),
    ("protocol", &["model"]),
    ("content", &["model"]),
    ("exchange", &["model", "content"]),
    ("policy", &["model", "config", "protobuf"]),
    ("inference", &["model", "content", "protobuf"]),
    ("session", &["model", "protocol", "policy", "exchange", "inference"]),
    ("inspect", &["model", "content", "inference", "policy", "protobuf"]),
    ("protobuf", &["model"]),
    ("sink", &["model", "config", "protobuf"]),
    ("capture", &["model", "kernel"]),
    ("kernel", &["model", "capture"]),
];

/// Stages that see no outside world: a replayed capture then gives exactly what the live one gave.
pub(super) const SANS_IO: &[&str] =
    &["model", "flow", "protocol", "content", "exchange", "policy", "inference", "session"];

const OUTSIDE: &[&str] = &[
    "tokio",
    "aya",
    "nix",
    "hyper",
    "hyper_util",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let Some(stage) = source.stage() else { return Vec::new() };
    let allowed = STAGES.iter().find(|(name, _)| *name == stage).map(|(_, allowed)| *allowed);
    let mut found: Vec<Violation> = Vec::new();
    for (path, line) in paths(source) {
        let text = path.join("::");
        if let (Some(allowed), Some(module)) = (allowed, local(&path))
            && module != stage
            && !allowed.contains(&module)
        {
            found.push(Violation::new(
                source.path,
                line,
                format!("`{stage}` imports `{text}`"),
                "stages know the words of `model` and not each other; composing them is the pipeline's part",
                "take it as an argument or move the type to `model`; a new edge belongs in ARCHITECTURE.md first",
            ));
        }
        let outside = |name: &&&str| text == **name || text.starts_with(&format!("{name}::"));
        if SANS_IO.contains(&stage) && OUTSIDE.iter().any(|name| outside(&name)) {
            found.push(Violation::new(
                source.path,
                line,
                format!("`{stage}` uses `{text}`"),
                "this stage is sans-IO: no runtime, no clock, no files; time arrives with the data",
                "do it in `capture`, `sink`, `cli` or `pipeline`, and hand over the result",
            ));
        }
    }
    // A `use` without a group is seen twice: as an item and as tokens.
    found.sort_by(|a, b| (a.line, &a.what).cmp(&(b.line, &b.what)));
    found.dedup();
    found
}

/// The module right under the crate's root, in a path that is local.
fn local(path: &[String]) -> Option<&str> {
    (path.first()? == "crate").then(|| path.get(1))?.map(String::as_str)
}

/// All paths outside of tests: in `use` items, in code and in macros, `super` and `self` resolved.
fn paths(source: &Source<'_>) -> Vec<(Vec<String>, usize)> {
    let mut uses = Uses { found: Vec::new() };
    let test_only = source.tokens.is_empty();
    if !test_only {
        uses.visit_file(&source.ast);
    }
    // A `use` in a test module is not in the tokens; groups in the tokens are cut at the brace.
    let in_code = sequences(&source.tokens);
    let lines: Vec<usize> = source.tokens.iter().map(|token| token.line).collect();
    let uses = uses.found.into_iter().filter(|(_, line)| lines.binary_search(line).is_ok());
    uses.chain(in_code).map(|(path, line)| (resolve(source, path), line)).collect()
}

/// `super::x` in `flow/table.rs` is `crate::flow::x`. In an inline module it is one level off, to the safe side.
fn resolve(source: &Source<'_>, path: Vec<String>) -> Vec<String> {
    let module = source.module();
    let mut up = 0;
    let mut rest = path.as_slice();
    match rest.first().map(String::as_str) {
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while let Some((first, after)) = rest.split_first()
                && first == "super"
            {
                up += 1;
                rest = after;
            }
        }
        _ => return path,
    }
    let kept = module.len().saturating_sub(up);
    let base = module[..kept].iter().map(|name| (*name).to_owned());
    ["crate".to_owned()].into_iter().chain(base).chain(rest.iter().cloned()).collect()
}

/// Runs of `a :: b :: c` in the tokens.
fn sequences(tokens: &[Token]) -> Vec<(Vec<String>, usize)> {
    let name = |token: &Token| token.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !name(&tokens[at]) {
            at += 1;
            continue;
        }
        let line = tokens[at].line;
        let mut path = vec![tokens[at].text.clone()];
        at += 1;
        while let [first, second, third, ..] = &tokens[at..]
            && first.text == ":"
            && second.text == ":"
            && name(third)
        {
            path.push(third.text.clone());
            at += 3;
        }
        if path.len() > 1 {
            found.push((path, line));
        }
    }
    found
}

/// Paths of `use` items, groups taken apart.
struct Uses {
    found: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        self.tree(&node.tree, &mut Vec::new());
        visit::visit_item_use(self, node);
    }
}

impl Uses {
    fn tree(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix)),
            UseTree::Name(name) => self.leaf(prefix, Some(&name.ident), tree),
            UseTree::Rename(rename) => self.leaf(prefix, Some(&rename.ident), tree),
            UseTree::Glob(_) => self.leaf(prefix, None, tree),
        }
    }

    fn leaf(&mut self, prefix: &[String], name: Option<&syn::Ident>, tree: &UseTree) {
        let path = prefix.iter().cloned().chain(name.map(ToString::to_string)).collect();
        self.found.push((path, tree.span().start().line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let source = Source::parse(path, text).unwrap();
        check(&source).into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        found(path, text).into_iter().map(|(line, _)| line).collect()
    }

    const FLOW: &str = "interceptor-user/src/flow/table.rs";

    #[test]
    fn stages_do_not_import_each_other() {
        assert_eq!(lines(FLOW, "use crate::model::{Chunk, Side};\nuse super::reassembly::X;"), NONE);
        assert_eq!(lines(FLOW, "use crate::{model::Chunk,\n    session::Session};"), [2]);
        assert_eq!(lines(FLOW, "fn f() { crate::protocol::decode(); }"), [1]);
        assert_eq!(lines(FLOW, "use super::super::sink::Sink;"), [1]);
        assert_eq!(lines(FLOW, "\nmacro_rules! m { () => { crate::sink::x() } }"), [2]);
        assert_eq!(lines("interceptor-user/src/model/head.rs", "use crate::flow::Table;"), [1]);
        assert_eq!(lines("interceptor-user/src/session.rs", "use crate::{exchange::A, protocol::B};"), NONE);
        assert_eq!(lines("interceptor-user/src/session.rs", "use crate::flow::Table;"), [1]);
        assert_eq!(lines("interceptor-user/src/pipeline.rs", "use crate::flow::Table;"), NONE);
        assert_eq!(lines("interceptor-user/src/capture/ring.rs", "use crate::{flow::Table, kernel::Ring};"), [1]);
        assert_eq!(lines("interceptor-user/src/kernel/capture.rs", "use crate::capture::ring::RingSource;"), NONE);
        assert_eq!(lines("interceptor-user/src/sink/route.rs", "use crate::{config::Paths, kernel::Ring};"), [1]);
    }

    #[test]
    fn sans_io_stages_ask_no_clock_and_no_file() {
        assert_eq!(lines(FLOW, "use std::time::Duration;"), NONE);
        assert_eq!(lines(FLOW, "use std::time::{Duration, Instant};"), [1]);
        assert_eq!(lines(FLOW, "fn f() {\n    std::fs::read(\"x\");\n}"), [2]);
        assert_eq!(lines(FLOW, "use tokio::sync::mpsc;"), [1]);
        assert_eq!(lines("interceptor-user/src/capture/ring.rs", "use std::time::Instant;"), NONE);
        assert_eq!(lines(FLOW, "use std::net::IpAddr;"), NONE);
    }

    #[test]
    fn tests_may() {
        assert_eq!(lines(FLOW, "fn a() {}\n#[cfg(test)]\nmod tests {\n    use crate::session::Session;\n}"), NONE);
        assert_eq!(lines("interceptor-user/src/flow/tests.rs", "use crate::session::Session;"), NONE);
    }
}
