//! What production code does not contain.

use syn::{
    Visibility,
    visit::{self, Visit},
};

use super::{
    Violation,
    imports::SANS_IO,
    source::{Source, Token, USER},
};

/// Where the kernel boundary is.
const UNSAFE: &[&str] = &["interceptor-common/", "interceptor-ebpf/", "interceptor-user/src/kernel/"];
/// Single files with a reason.
const UNSAFE_FILES: &[(&str, &str)] =
    &[("interceptor-user/src/demo/pod.rs", "a pod's process enters its namespace and cgroup between fork and exec")];

/// The seams. Everything else is a function, an enum or a struct.
const TRAITS: &[&str] = &["Source", "Inspector", "Sink", "Deliver"];

/// Output of a command is the command's business: these print.
const PRINTS: &[&str] = &["interceptor-user/src/cli/", "interceptor-user/src/demo/", "interceptor-user/src/main.rs"];

/// Notes to oneself; written apart, so that this file has none.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut found = notes(source);
    found.extend(unsafety(source));
    found.extend(panics(source));
    found.extend(macros(source));
    if source.path.starts_with(USER) {
        let mut traits = Traits { path: source.path, found };
        traits.visit_file(&source.ast);
        found = traits.found;
    }
    found
}

fn notes(source: &Source<'_>) -> Vec<Violation> {
    let has =
        |line: &str| line.split(|c: char| !c.is_alphanumeric()).find(|word| NOTES.contains(word)).map(str::to_owned);
    let lines = source.text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let word = has(line)?;
            Some(Violation::new(
                source.path,
                index + 1,
                format!("`{word}`"),
                "what is missing belongs where it is planned, not where it is stumbled over",
                "do it, or file an issue and describe the present behaviour instead",
            ))
        })
        .collect()
}

fn unsafety(source: &Source<'_>) -> Vec<Violation> {
    let allowed = UNSAFE.iter().any(|prefix| source.path.starts_with(prefix))
        || UNSAFE_FILES.iter().any(|(path, _)| *path == source.path);
    if allowed {
        return Vec::new();
    }
    let uses = source.tokens.iter().filter(|token| token.text == "unsafe");
    uses.map(|token| {
        Violation::new(
            source.path,
            token.line,
            "`unsafe`",
            "only the kernel boundary needs it; elsewhere it is a hole that no test sees",
            "use a safe interface; a file that cannot goes, with its reason, into UNSAFE_FILES of xtask/src/tidy/code.rs",
        )
    })
    .collect()
}

/// `.unwrap()` and `.expect(…)` where any input has to give a result.
fn panics(source: &Source<'_>) -> Vec<Violation> {
    if !source.stage().is_some_and(|stage| SANS_IO.contains(&stage)) {
        return Vec::new();
    }
    let calls = source.tokens.windows(3).filter_map(|window| match window {
        [dot, name, open] if dot.text == "." && open.text == "(" => Some(name),
        _ => None,
    });
    calls
        .filter(|name| matches!(name.text.as_str(), "unwrap" | "expect"))
        .map(|name| {
            Violation::new(
                source.path,
                name.line,
                format!("`.{}()`", name.text),
                "decoding is total: any bytes give messages or anomalies, never a panic",
                "match on it, or give an anomaly",
            )
        })
        .collect()
}

fn macros(source: &Source<'_>) -> Vec<Violation> {
    let library = source.path.starts_with(USER) && !PRINTS.iter().any(|prefix| source.path.starts_with(prefix))
        || source.path.starts_with("interceptor-common/src/");
    let calls = source.tokens.windows(2).filter(|window| matches!(window, [_, bang] if bang.text == "!"));
    let judge = |name: &Token| match name.text.as_str() {
        "dbg" | "todo" | "unimplemented" => {
            Some(("unfinished code looks finished to whoever calls it", "finish it, or leave it out"))
        }
        "print" | "println" | "eprint" | "eprintln" if library => {
            Some(("what a library prints goes into somebody's output", "use tracing, or return it to the command"))
        }
        _ => None,
    };
    calls
        .filter_map(|window| {
            let (why, fix) = judge(&window[0])?;
            Some(Violation::new(source.path, window[0].line, format!("`{}!`", window[0].text), why, fix))
        })
        .collect()
}

struct Traits<'a> {
    path: &'a str,
    found: Vec<Violation>,
}

impl<'ast> Visit<'ast> for Traits<'_> {
    fn visit_item_trait(&mut self, node: &'ast syn::ItemTrait) {
        let name = node.ident.to_string();
        if matches!(node.vis, Visibility::Public(_)) && !TRAITS.contains(&name.as_str()) {
            self.found.push(Violation::new(
                self.path,
                node.ident.span().start().line,
                format!("public trait `{name}`"),
                "`Source`, `Inspector`, `Sink` and `Deliver` are the seams; a closed set is an enum with exhaustive matches",
                "use an enum or a function; a new seam needs two real implementations and a place in ARCHITECTURE.md",
            ));
        }
        visit::visit_item_trait(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::parse(path, text).unwrap()).iter().map(|violation| violation.line).collect()
    }

    const FLOW: &str = "interceptor-user/src/flow/table.rs";

    #[test]
    fn notes_to_oneself_are_found() {
        for note in NOTES {
            assert_eq!(lines("xtask/src/a.rs", &format!("fn f() {{}}\n// {note}: later\n")), [2], "{note}");
        }
        assert_eq!(lines("xtask/src/a.rs", "// TODOS and todo lists\n"), NONE);
    }

    #[test]
    fn unsafe_is_found_outside_of_the_kernel_boundary() {
        let text = "fn f() {\n    unsafe { g() }\n}\nmacro_rules! m { () => {\n unsafe { h() } } }";
        assert_eq!(lines(FLOW, text), [2, 5]);
        assert_eq!(lines("xtask/src/a.rs", "unsafe impl Send for S {}"), [1]);
        assert_eq!(lines("interceptor-user/src/kernel/load.rs", text), NONE);
        assert_eq!(lines("interceptor-user/src/demo/pod.rs", text), NONE);
        assert_eq!(lines(FLOW, "#[expect(unsafe_code)]\nfn f() {}"), NONE);
    }

    #[test]
    fn panics_are_found_in_sans_io_code() {
        let text = "fn f() {\n    a.unwrap();\n    b\n        .expect(\"b\");\n    c.unwrap_or(1);\n}";
        assert_eq!(lines(FLOW, text), [2, 4]);
        assert_eq!(lines("interceptor-user/src/cli/tail.rs", text), NONE);
        assert_eq!(lines(FLOW, &format!("#[cfg(test)]\nmod tests {{ {text} }}")), NONE);
    }

    #[test]
    fn prints_and_unfinished_code_are_found() {
        assert_eq!(lines(FLOW, "fn f() {\n    println!(\"x\");\n}"), [2]);
        assert_eq!(lines("interceptor-user/src/cli/tail.rs", "fn f() {\n    println!(\"x\");\n}"), NONE);
        assert_eq!(lines("interceptor-user/src/cli/tail.rs", "fn f() {\n    dbg!(1);\n}"), [2]);
        assert_eq!(lines("xtask/src/a.rs", "fn f() { todo!() }"), [1]);
    }

    #[test]
    fn a_fourth_public_trait_is_found() {
        assert_eq!(lines(FLOW, "pub trait Source {}\ntrait Private {}\npub(crate) trait Mine {}"), NONE);
        assert_eq!(lines(FLOW, "\npub trait Decoder {}"), [2]);
        assert_eq!(lines("tests/src/a.rs", "pub trait Server {}"), NONE);
    }
}
