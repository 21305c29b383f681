//! Licences and compiler versions are stated by each crate.

use super::Violation;

pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let kernel = path.starts_with("interceptor-ebpf/");
    let mut want = |key: &str, why, fix| {
        if value(text, key).is_none() {
            found.push(Violation::new(path, 1, format!("no `{key}`"), why, fix));
        }
    };
    if text.contains("[package]") || text.contains("[workspace.package]") {
        want(
            "license",
            "`cargo deny` and whoever packages it need it",
            "`license.workspace = true`, or \"MIT OR GPL-2.0-only\" for the kernel object",
        );
        want(
            "rust-version",
            "an older compiler is to say so, not to fail somewhere",
            "`rust-version.workspace = true`",
        );
    }
    if let (true, Some((line, value))) = (kernel, value(text, "license"))
        && !value.contains("GPL")
    {
        found.push(Violation::new(
            path,
            line,
            format!("licence {value}"),
            "the kernel offers many helpers to GPL-compatible programs only",
            "\"MIT OR GPL-2.0-only\", as the object's own licence section says",
        ));
    }
    if text.contains("[package]") && text.contains("version.workspace = true") && !text.contains("[lints]") {
        let why = "the workspace's lints hold everywhere or mean nothing";
        found.push(Violation::new(path, 1, "no `[lints]`", why, "[lints]\nworkspace = true"));
    }
    found
}

/// Line and value of `key = value`, or of `key.workspace = true`.
fn value<'a>(text: &'a str, key: &str) -> Option<(usize, &'a str)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let rest = line.strip_prefix(key)?;
        let rest = rest.strip_prefix(".workspace").unwrap_or(rest).trim_start();
        Some((index + 1, rest.strip_prefix('=')?.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(path: &str, text: &str) -> Vec<String> {
        check(path, text).into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn every_crate_states_licence_version_and_lints() {
        let good = "[package]\nversion.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
                    [lints]\nworkspace = true\n";
        assert!(what("xtask/Cargo.toml", good).is_empty());
        assert_eq!(what("xtask/Cargo.toml", &good.replace("license.", "x.")), ["no `license`"]);
        assert_eq!(what("xtask/Cargo.toml", &good.replace("rust-version.", "x.")), ["no `rust-version`"]);
        assert_eq!(what("xtask/Cargo.toml", &good.replace("[lints]", "")), ["no `[lints]`"]);
    }

    #[test]
    fn the_kernel_object_is_gpl_compatible() {
        let text = "[package]\nlicense = \"Apache-2.0\"\nrust-version = \"1.95\"\n";
        assert_eq!(check("interceptor-ebpf/Cargo.toml", text)[0].line, 2);
        assert!(what("interceptor-ebpf/Cargo.toml", &text.replace("Apache-2.0", "MIT OR GPL-2.0-only")).is_empty());
    }
}
