//! The program as its users meet it: help, errors, exit codes.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

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
    let policy = ["policy", "policy check", "policy test", "policy explain"];
    let baseline = ["baseline", "baseline learn", "baseline show"];
    let others = ["", "tail", "replay", "map", "demo", "doctor", "generate"];
    for command in others.into_iter().chain(baseline).chain(policy) {
        let args: Vec<&str> = command.split_terminator(' ').chain(["--help"]).collect();
        insta::assert_snapshot!(format!("help {command}").trim_end().replace(' ', "_"), seen(&args));
    }
}

#[test]
fn usage_errors_say_what_is_allowed_and_exit_2() {
    let cases: [&[&str]; 21] = [
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
        &["replay", "x", "-o", "pcapng", "--status", "5xx"],
        &["tail", "--sample", "2", "--ring-size", "5"],
        &["tail", "--pid", "1", "--cgroup", "/"],
        &["baseline", "learn", "x.pcap"],
        &["baseline", "learn", "--output", "x"],
        &["baseline", "learn", "--output", "x", "x.pcap", "--iface", "lo"],
        &["baseline", "learn", "--output", "x", "x.pcap", "--tensor", "input"],
        &["policy", "check"],
        &["policy", "check", "/nonexistent.yaml"],
        &["policy", "test", "../deploy/policies/pii-audit.yaml", "--capture", "x", "--rule", "prompt"],
    ];
    let mut all = String::new();
    for args in cases {
        let seen = seen(args);
        assert!(seen.starts_with("exit 2\n"), "{args:?}: {seen}");
        let error = if args.is_empty() { "(the help)" } else { seen.trim_start_matches("exit 2\n").trim_end() };
        writeln!(all, "$ interceptor {}\n{error}\n", args.join(" ")).unwrap();
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
    ];
    let mut all = String::new();
    for path in cases {
        let seen = seen(&["replay", path.to_str().expect("UTF-8")]);
        assert!(seen.starts_with("exit 1\ninterceptor: "), "{seen}");
        assert_eq!(seen.lines().count(), 2, "one line: {seen}");
        all.push_str(&seen.replace(directory.path().to_str().expect("UTF-8"), "DIR"));
    }
    insta::assert_snapshot!("unreadable_files", all);

    let cut = file("cut.pcap", b"\xd4\xc3\xb2\xa1\x02\x00");
    let seen = seen(&["replay", cut.to_str().expect("UTF-8")]);
    assert!(seen.starts_with("exit 0\ninterceptor: the capture file ends within a record"), "{seen}");
    assert!(!seen.contains('\x1b'), "no colours into a pipe: {seen}");
}

#[test]
fn version_schemas_completions_and_manual_pages() {
    assert_eq!(seen(&["--version"]), format!("exit 0\ninterceptor {}\n", env!("CARGO_PKG_VERSION")));
    let committed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exchange.schema.json"));
    assert_eq!(output(&["generate", "schema"]).stdout, committed.expect("the committed schema"));
    let committed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.schema.json"));
    assert_eq!(output(&["generate", "policy-schema"]).stdout, committed.expect("the committed schema"));
    for shell in ["bash", "zsh", "fish"] {
        let script = seen(&["generate", "completions", shell]);
        assert!(script.starts_with("exit 0\n") && script.contains("show-secrets"), "{shell}: {script}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let man = directory.path().join("new/man1");
    assert_eq!(seen(&["generate", "man", man.to_str().expect("UTF-8")]), "exit 0\n");
    let page = fs::read_to_string(man.join("interceptor-tail.1")).expect("a page of each command");
    assert!(page.contains("\\-\\-cgroup") && page.contains("Exit codes"), "{page}");
    // Of every command, but not of what the demo starts in its pods.
    let pages = fs::read_dir(&man).expect("is there").map(|page| page.expect("an entry").file_name());
    let mut pages: Vec<_> = pages.map(|name| name.into_string().expect("UTF-8")).collect();
    pages.sort();
    let commands = ["baseline", "demo", "doctor", "generate", "policy", "replay", "run", "tail"];
    for command in commands {
        assert!(pages.contains(&format!("interceptor-{command}.1")), "{pages:?}");
        let help = seen(&[command, "--help"]);
        assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    }
    assert!(!pages.iter().any(|page| page.contains("serve") || page.contains("ask")), "{pages:?}");
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
    // Not by us: what another test starts meanwhile would hold the file open for writing, and it could not be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_interceptor")).arg(&program).status();
    assert!(copied.expect("cp").success());
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

/// Captures of real clients and servers.
fn corpus() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/http1");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

#[test]
fn policies_are_checked_and_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let text = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: { name: p }\nspec:\n  unmatched: { sinks: [] }\n  steer: [{ name: calls, ports: [80, 8000-8010], networks: [10.0.0.0/8], onFailure: closed }]\n  rules:\n    \
                - name: one\n      match: request.method == \"POST\"\n        && response.code >= 500\n      sample: { rate: 0.25, key: request.id, always: \"!complete\" }\n      \
                extract: [{ name: a, jsonPath: $.a }]\n      tenant: { header: x }\n      redact: { headers: [x] }\n      sinks: [lines]\n      action: { deny: { status: 429 } }\n    \
                - name: two\n---\napiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: { name: off }\nspec: { enabled: false, rules: [{ name: r }] }\n";
    let good = file("good.yaml", text);
    let bad = file("bad.yaml", &text.replace("response.code", "response.cod"));
    insta::assert_snapshot!("policy_check", seen(&["policy", "check", &good]));
    insta::assert_snapshot!("policy_explain", seen(&["policy", "explain", &good]));
    insta::assert_snapshot!("policy_reference", seen(&["policy", "explain"]));
    let whole = seen(&["policy", "check", directory.path().to_str().expect("UTF-8")]);
    assert!(whole.starts_with("exit 2\n") && whole.contains("bad.yaml:10:12: unknown field `response.cod`"), "{whole}");
    assert!(seen(&["policy", "test", &bad, "--capture", "x"]).starts_with("exit 2\n"));
    let lacks = file("lacks.yaml", &text.replace("sinks: [lines]", "inspect: { drift: { baseline: gone.json } }"));
    let missing = seen(&["policy", "check", &lacks]);
    assert!(missing.starts_with("exit 2\n"), "{missing}");
    assert!(missing.contains("lacks.yaml: rule p/one: inspect.drift.baseline: cannot read "), "{missing}");
    assert!(seen(&["policy", "check", "--no-files", &lacks]).starts_with("exit 0\n"));
    assert!(seen(&["policy", "test", &lacks, "--capture", "x"]).starts_with("exit 2\n"));
    assert!(seen(&["policy", "test", &good, "--capture", "/nonexistent.pcap"]).starts_with("exit 1\n"));
}

/// What each line says of rules is what the last one counts.
#[test]
fn the_ready_made_policies_are_tried_on_the_corpus() {
    for capture in corpus() {
        let capture = capture.to_str().expect("UTF-8");
        let Output { status, stdout, stderr } =
            output(&["policy", "test", "../deploy/policies", "--capture", capture, "-o", "json"]);
        assert!(status.success(), "{capture}: {}", String::from_utf8_lossy(&stderr));
        let mut lines: Vec<Value> = stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        let summary = lines.pop().expect("a summary");
        assert_eq!(summary["exchanges"], lines.len(), "{capture}");
        for counted in summary["summary"].as_array().expect("rules") {
            let rules = || lines.iter().flat_map(|line| line["rules"].as_array().expect("rules"));
            let matched = rules().filter(|rule| rule["rule"] == counted["rule"] && rule["matched"] == true);
            assert_eq!(counted["matched"], matched.count(), "{capture}: {counted}");
        }
    }
}

/// What `run` would find and take out, `policy test` shows.
#[test]
fn findings_are_tried_on_captures() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("p.yaml");
    let text = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: { name: p }\nspec:\n  rules:\n    \
                - name: odd\n      match: '!complete || request.path != \"/index.html\"'\n      inspect: { pii: {}, transport: {} }\n      redact: { pii: true }\n";
    fs::write(&path, text).expect("written");
    let path = path.to_str().expect("UTF-8");
    let corpus = |name: &str| format!("../tests/corpus/http1/{name}.pcap");
    let captures = ["pipelined", "both_lengths", "snap_length"].map(corpus);
    let mut call = vec!["policy", "test", path];
    call.extend(captures.iter().flat_map(|capture| ["--capture", capture]));
    insta::assert_snapshot!("policy_test", seen(&call));
    let json = seen(&[&call[..], &["-o", "json"]].concat());
    let found = json.lines().filter(|line| line.contains("\"kind\":\"URL\"")).collect::<Vec<_>>();
    assert!(found.len() == 1 && found[0].contains("\"redacted\":[\"head of the response\"]"), "{json}");
    assert!(
        json.contains("\"uninspected\":[{\"direction\":\"response\",\"inspector\":\"pii\",\"reason\":\"missing\"}]"),
        "{json}"
    );
}

#[test]
fn every_line_of_the_corpus_obeys_the_committed_schema() {
    let schema = include_str!("../../docs/exchange.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let mut lines = 0;
    for file in corpus() {
        let file = file.to_str().expect("UTF-8");
        let Output { status, stdout, stderr } = output(&["replay", "-o", "json", "--headers", "--body=1MiB", file]);
        assert!(status.success(), "{file}: {}", String::from_utf8_lossy(&stderr));
        for line in String::from_utf8(stdout).expect("UTF-8").lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{file}: {errors:?} in {line:#}");
            lines += 1;
        }
    }
    assert!(lines >= 40, "{lines} exchanges");
}

#[test]
fn formats_agree_on_how_many_and_filters_and_counts_hold() {
    let files = corpus();
    let files: Vec<&str> = files.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    let run = |args: &[&str]| {
        let args: Vec<&str> = ["replay"].iter().chain(args).chain(&files).copied().collect();
        let Output { status, stdout, .. } = output(&args);
        assert!(status.success(), "{args:?}");
        String::from_utf8(stdout).expect("UTF-8")
    };
    let (text, json) = (run(&[]), run(&["-o", "json"]));
    let summary = run(&["-o", "summary"]);
    assert_eq!(text.lines().count(), json.lines().count());
    assert!(summary.starts_with(&format!("exchanges   {},", json.lines().count())), "{summary}");
    assert!(summary.contains("\nset aside   segments: "), "{summary}");
    assert!(!text.contains('\x1b'), "no colours into a pipe");
    assert!(run(&["--color", "always", "-n", "1"]).contains('\x1b'));
    assert_eq!(run(&["-n", "3", "-o", "json"]).lines().count(), 3);
    let posts = run(&["-o", "json", "--method", "post", "--status", "2xx"]);
    let posts: Vec<Value> = posts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!posts.is_empty() && posts.iter().all(|line| line["http.request.method"] == "POST"), "{posts:?}");
    assert_eq!(run(&["--path", "/no-such-path"]), "");
}

#[test]
fn an_archive_of_the_corpus_is_valid_however_it_ends() {
    let schema = serde_json::from_str(include_str!("../src/sink/har/schema.json")).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let entries = |output: &[u8]| {
        let archive: Value = serde_json::from_slice(output).expect("JSON");
        let errors: Vec<String> = schema.iter_errors(&archive).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {archive:#}");
        archive["log"]["entries"].as_array().expect("entries").len()
    };
    let files = corpus();
    let files: Vec<&str> = files.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    let har = |args: &[&str]| output(&[&["replay", "-o", "har", "--body"], args, &files].concat()).stdout;
    let all = output(&[&["replay", "-o", "json"], &files[..]].concat()).stdout.lines().count();
    assert_eq!((entries(&har(&[])), entries(&har(&["-n", "3"]))), (all, 3));
    assert_eq!(entries(&har(&["--path", "/no-such-path"])), 0);

    // A signal comes while more is waited for.
    let mut command = interceptor(&["replay", "-o", "har", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut writer = child.stdin.take().expect("a pipe");
    writer.write_all(&fs::read(files[0]).expect("the corpus")).expect("written");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut seen = Vec::new();
    // What comes before the first entry.
    reader.read_until(b'\n', &mut seen).expect("read");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it is there");
    reader.read_to_end(&mut seen).expect("read");
    assert!(child.wait().expect("it ends").success() && entries(&seen) > 0);
    drop(writer);
}

/// `replay -o pcapng | replay -`
#[test]
fn packets_that_are_written_hold_the_exchanges_that_were_counted() {
    let files = corpus();
    let files: Vec<&str> = files.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    let replay = |args: &[&str]| {
        let Output { status, stdout, .. } = output(&[&["replay"], args].concat());
        assert!(status.success(), "{args:?}");
        stdout
    };
    for file in files {
        let written = tempfile::NamedTempFile::new().expect("a file");
        fs::write(&written, replay(&["-o", "pcapng", "-n", "1", file])).expect("written");
        let lines = |file: &str| replay(&["-o", "json", "--headers", "--body", "-n", "1", file]);
        let (expected, found) = (lines(file), lines(written.path().to_str().expect("UTF-8")));
        // A capture of several interfaces numbers them; those of raw packets have none.
        let same = |line: &[u8]| {
            let mut line: Value = serde_json::from_slice(line).expect("JSON");
            line.as_object_mut().expect("an object").remove("interceptor.interface.index");
            line
        };
        assert_eq!(same(&found), same(&expected), "{file}");
    }
}

#[test]
fn secrets_are_shown_by_name_only() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/http1/secrets.pcap");
    let file = file.to_str().expect("UTF-8");
    let header = |args: &[&str], name: &str| {
        let args: Vec<&str> = ["replay", file, "-o", "json", "--headers"].iter().chain(args).copied().collect();
        let line: Value = serde_json::from_slice(&output(&args).stdout).expect("one exchange");
        line[format!("http.request.header.{name}")][0].as_str().expect("the corpus has it").to_owned()
    };
    for name in ["authorization", "cookie", "x-api-key"] {
        assert_eq!(header(&[], name), "[masked]", "{name}");
        let shown = header(&["--show-secrets", name], name);
        assert!(!shown.is_empty() && shown != "[masked]", "{name}: {shown}");
    }
    assert_eq!(header(&["--show-secrets", "cookie"], "authorization"), "[masked]");
}

#[test]
fn standard_input_is_a_capture_too_and_a_gone_reader_ends_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/http1/keep_alive.pcap");
    let from_file = seen(&["replay", file.to_str().expect("UTF-8")]);
    let input = || Stdio::from(fs::File::open(&file).expect("the corpus"));
    let Output { status, stdout, .. } = interceptor(&["replay", "-"]).stdin(input()).output().expect("it starts");
    assert_eq!(format!("exit {}\n{}", status.code().expect("no signal"), String::from_utf8_lossy(&stdout)), from_file);

    let mut child = interceptor(&["replay", "-"])
        .stdin(input())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

/// `tcpdump -U -w - | interceptor replay -`, with nothing more on the wire.
#[test]
fn a_silent_pipe_holds_nothing_back_and_a_signal_ends_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/http1/keep_alive.pcap");
    let mut command = interceptor(&["replay", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut writer = child.stdin.take().expect("a pipe");
    writer.write_all(&fs::read(file).expect("the corpus")).expect("written");
    // Whatever goes wrong, the test ends.
    let watchdog = thread::spawn(move || {
        thread::sleep(Duration::from_secs(10));
        drop(writer);
    });
    let start = Instant::now();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("read");
    assert!(line.contains(" 200 ") && start.elapsed() < Duration::from_secs(10), "{line:?} at last");
    kill(pid, Signal::SIGTERM).expect("it is there");
    let status = child.wait().expect("it ends");
    assert!(status.success() && !watchdog.is_finished(), "{status}");
}

/// A table as text and as Parquet, and what is learned of it.
#[test]
fn a_baseline_is_learned_from_tables_and_shown() {
    use parquet::{
        data_type::{ByteArray, ByteArrayType, DoubleType, FloatType},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let lengths = [5.1, 4.9, 5.1, 6.25];
    let mut text = "length,width,\"name of, it\"\n".to_owned();
    for (length, name) in lengths.iter().zip(["a", "b", "a", "NA"]) {
        writeln!(text, "{length},{},{name}", length / 2.0).unwrap();
    }
    fs::write(path("table.csv"), text).expect("written");

    let schema = "message table { required float length; required double width; optional binary name (UTF8); }";
    let schema = std::sync::Arc::new(parse_message_type(schema).expect("a schema"));
    let file = fs::File::create(path("table.parquet")).expect("made");
    let mut writer = SerializedFileWriter::new(file, schema, WriterProperties::builder().build().into()).expect("made");
    let mut rows = writer.next_row_group().expect("rows");
    let mut column = rows.next_column().expect("there").expect("a column");
    column.typed::<FloatType>().write_batch(&lengths.map(|length| length as f32), None, None).expect("written");
    column.close().expect("written");
    let mut column = rows.next_column().expect("there").expect("a column");
    column.typed::<DoubleType>().write_batch(&lengths.map(|length| length / 2.0), None, None).expect("written");
    column.close().expect("written");
    let mut column = rows.next_column().expect("there").expect("a column");
    let names = ["a", "b", "a"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&names, Some(&[1, 1, 1, 0]), None).expect("written");
    column.close().expect("written");
    rows.close().expect("written");
    writer.close().expect("written");

    let learn = |table: &str, more: &[&str]| {
        let out = path(&format!("{table}.json"));
        let table = path(table);
        let said = seen(&[&["baseline", "learn", "--model", "iris", "--output", &out, &table], more].concat());
        (said, out)
    };
    let (said, from_text) = learn("table.csv", &["--predictions", "species"]);
    assert!(said.starts_with("exit 1\n") && said.contains("it has length, width, name of, it"), "{said}");
    assert!(!Path::new(&from_text).exists());
    let (said, from_text) = learn("table.csv", &[]);
    assert_eq!(said, "exit 0\ninterceptor: learned 3 features, of up to 4 values each\n");
    let (said, from_parquet) = learn("table.parquet", &["--predictions", "name"]);
    assert!(said.starts_with("exit 0\n"), "{said}");
    insta::assert_snapshot!("baseline_show", seen(&["baseline", "show", &from_text]));
    // Numbers of single precision are those that were meant.
    let feature = |file: &str, name: &str| {
        let file: Value = serde_json::from_slice(&fs::read(file).expect("written")).expect("JSON");
        let features = file["features"].as_array().expect("features").iter();
        features.clone().find(|feature| feature["name"] == name).expect(name).clone()
    };
    assert_eq!(feature(&from_text, "length"), feature(&from_parquet, "length"));
    assert_eq!(feature(&from_parquet, "name")["role"], "output");
    let out = seen(&["baseline", "learn", "--tensor", "input", "--output", "-", &path("table.csv")]);
    assert!(out.contains("\"input[0]\"") && out.contains("\"input[2]\""), "{out}");
}

#[test]
fn what_a_baseline_leaves_out_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let learn = |text: &str| {
        fs::write(path("table.csv"), text).expect("written");
        seen(&["baseline", "learn", "--output", &path("out.json"), &path("table.csv")])
    };
    let said = learn("number,none,word\n1.5,,inf\n-inf,NA,1\n1e999,nan,sup\n2.5,,2\n");
    insta::assert_snapshot!(said, @r"
    exit 0
    interceptor: left out, with no value that is a number or text: `none`
    interceptor: infinite values, out of the range of numbers, count as missing: `number` (2)
    interceptor: learned 2 features, of up to 4 values each
    ");
    let file: Value = serde_json::from_slice(&fs::read(path("out.json")).expect("written")).expect("JSON");
    let [number, word] = ["number", "word"].map(|name| {
        let features = file["features"].as_array().expect("features");
        features.iter().find(|feature| feature["name"] == name).expect(name)
    });
    assert!(number["missing"] == 2 && number["number"]["maximum"] == 2.5, "{number}");
    assert!(word["missing"] == 0 && word["category"]["counts"]["inf"] == 1, "{word}");

    fs::remove_file(path("out.json")).expect("there");
    let names: Vec<String> = (0..10).map(|name| format!("c{name}")).collect();
    let said = learn(&format!("{}\n{}\n", names.join(","), ",".repeat(9)));
    assert!(
        said.starts_with("exit 1\n") && said.contains("`c7` and 2 more\ninterceptor: nothing was learned"),
        "{said}"
    );
    assert!(!Path::new(&path("out.json")).exists());
}

#[test]
fn baselines_that_cannot_be_learned_or_shown_give_one_line_and_exit_1() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/http1/keep_alive.pcap");
    let out = file("out.json", "as it was");
    let learn = |input: &str| seen(&["baseline", "learn", "--output", &out, input]);
    let mut all = String::new();
    for seen in [
        learn(&file("ragged.csv", "a,b\n1,2\n3\n")),
        learn(&file("twice.csv", "a,a\n1,2\n")),
        learn(&file("empty.csv", "")),
        learn(&file("wide.csv", &(0..20_000).map(|name| format!("c{name}")).collect::<Vec<_>>().join(","))),
        learn(&file("not.parquet", "not Parquet, whatever its name")),
        learn(capture.to_str().expect("UTF-8")),
        seen(&["baseline", "learn", "--output", "/nonexistent/x.json", &out]),
        seen(&["baseline", "show", &file("bad.json", "{\"version\": 1,\n \"features\": [}")]),
        seen(&["baseline", "show", &file("new.json", "{\"version\": 9}")]),
    ] {
        assert!(seen.starts_with("exit 1\ninterceptor: "), "{seen}");
        assert_eq!(seen.lines().count(), 2, "one line: {seen}");
        all.push_str(&seen.replace(directory.path().to_str().expect("UTF-8"), "DIR"));
    }
    insta::assert_snapshot!("baseline_errors", all);
    assert_eq!(fs::read_to_string(out).expect("there"), "as it was");
}
