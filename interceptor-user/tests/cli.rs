//! The program as its users meet it: help, errors, exit codes.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

fn interceptor(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interceptor"));
    // Help is wrapped at the terminal's width, and COLUMNS stands for it.
    command.args(args).env_remove("RUST_BACKTRACE").env("COLUMNS", "100").stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    interceptor(args).output().expect("the program starts")
}

/// What a user sees: exit code, standard output, standard error.
fn seen(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = output(args);
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    format!("exit {}\n{stdout}{stderr}", status.code().expect("no signal"))
}

#[test]
fn help_of_every_command() {
    for command in ["", "tail", "replay", "doctor"] {
        let args: Vec<&str> = command.split_terminator(' ').chain(["--help"]).collect();
        insta::assert_snapshot!(format!("help {command}").trim_end().replace(' ', "_"), seen(&args));
    }
}

#[test]
fn usage_errors_say_what_is_allowed_and_exit_2() {
    let cases: [&[&str]; 13] = [
        &[],
        &["tial"],
        &["replay"],
        &["replay", "x", "--status", "6"],
        &["replay", "x", "--host", "model:80"],
        &["replay", "x", "--path", "v2"],
        &["replay", "x", "--method", "a b"],
        &["replay", "x", "--port", "0"],
        &["replay", "x", "-n", "0"],
        &["replay", "x", "--body=1TB"],
        &["replay", "x", "-o", "xml"],
        &["tail", "--sample", "2", "--ring-size", "5"],
        &["tail", "--pid", "1", "--cgroup", "/"],
    ];
    let mut all = String::new();
    for args in cases {
        let seen = seen(args);
        assert!(seen.starts_with("exit 2\n"), "{args:?}: {seen}");
        let error = if args.is_empty() { "(the help)" } else { seen.trim_start_matches("exit 2\n").trim_end() };
        all.push_str(&format!("$ interceptor {}\n{error}\n\n", args.join(" ")));
    }
    insta::assert_snapshot!("usage_errors", all);
}

#[test]
fn files_that_cannot_be_read_give_one_line_and_exit_1() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let cases = [
        directory.path().join("missing.pcap"),
        directory.path().to_owned(),
        file("empty.pcap", b""),
        file("text.txt", b"this is no capture file, whatever its name"),
        file("short.pcap", b"\xd4\xc3\xb2\xa1\x02\x00"),
    ];
    let mut all = String::new();
    for path in cases {
        let seen = seen(&["replay", path.to_str().expect("UTF-8")]);
        assert!(seen.starts_with("exit 1\ninterceptor: "), "{seen}");
        assert_eq!(seen.lines().count(), 2, "one line: {seen}");
        all.push_str(&seen.replace(directory.path().to_str().expect("UTF-8"), "DIR"));
    }
    insta::assert_snapshot!("unreadable_files", all);
}

#[test]
fn version_schemas_completions_and_manual_pages() {
    assert_eq!(seen(&["--version"]), format!("exit 0\ninterceptor {}\n", env!("CARGO_PKG_VERSION")));
    let committed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exchange.schema.json"));
    assert_eq!(output(&["generate", "schema"]).stdout, committed.expect("the committed schema"));
    for shell in ["bash", "zsh", "fish"] {
        let script = seen(&["generate", "completions", shell]);
        assert!(script.starts_with("exit 0\n") && script.contains("show-secrets"), "{shell}: {script}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let man = directory.path().join("new/man1");
    assert_eq!(seen(&["generate", "man", man.to_str().expect("UTF-8")]), "exit 0\n");
    let page = fs::read_to_string(man.join("interceptor-tail.1")).expect("a page of each command");
    assert!(page.contains("\\-\\-cgroup") && page.contains("Exit codes"), "{page}");
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let mut child = interceptor(&["generate", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

#[test]
fn places_that_are_not_there_give_one_line_and_exit_1() {
    let cases: [(&[&str], &str); 4] = [
        (&["tail", "--netns", "no-such-namespace"], "no-such-namespace"),
        (&["tail", "--netns", "/nonexistent/ns"], "/nonexistent/ns"),
        (&["tail", "--cgroup", "no/such/cgroup"], "no/such/cgroup"),
        (&["tail", "--pid", "4194303"], "4194303"),
    ];
    for (args, what) in cases {
        let seen = seen(args);
        assert!(seen.starts_with("exit 1\ninterceptor: ") && seen.contains(what), "{args:?}: {seen}");
        assert_eq!(seen.lines().count(), 2, "one line: {seen}");
    }
}

/// Whoever runs the tests: the program is started without privileges.
#[test]
fn without_privileges_one_line_says_which_are_missing() {
    use std::os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    };
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = directory.path().join("interceptor");
    fs::copy(env!("CARGO_BIN_EXE_interceptor"), &program).expect("copied");
    let mut command = Command::new(&program);
    command.args(["tail", "-i", "lo"]).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    // Files that root makes are root's.
    if fs::metadata(&program).expect("there").uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), &stdout[..]), (Some(1), &b""[..]), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    assert!(stderr.contains("CAP_BPF") && stderr.contains("root"), "{stderr}");
}
