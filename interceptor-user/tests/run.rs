//! `interceptor run` up to the point where it needs privileges: configuration from all sides, and what is refused.

use std::{fs, net::TcpListener, process::Command};

/// Exit code, standard output, standard error.
fn run(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interceptor"));
    command.arg("run").args(args).env_remove("RUST_BACKTRACE").envs(variables.iter().copied());
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("c.yaml");
    let text = "metrics:\n  address: 127.0.0.1:1\n  max_label_sets: 1\n  paths: drop\ncapture:\n  ports: [1]\n";
    fs::write(&file, text).expect("written");
    let variables = [
        ("INTERCEPTOR_CONFIG", file.to_str().expect("UTF-8")),
        ("INTERCEPTOR_METRICS_ADDRESS", "127.0.0.1:2"),
        ("INTERCEPTOR_METRICS_MAX_LABEL_SETS", "2"),
        ("INTERCEPTOR_CAPTURE_PORTS", "2,20-29"),
    ];
    let (code, stdout, stderr) = run(&["--check", "--metrics-address", "127.0.0.1:3"], &variables);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for line in ["  address: 127.0.0.1:3", "  max_label_sets: 2", "  paths: drop", "  - 2", "  - 20-29", "  sample: 1"]
    {
        assert!(stdout.lines().any(|found| found == line), "no {line:?} in\n{stdout}");
    }
    // What is printed is itself a configuration, and the same one.
    fs::write(&file, &stdout).expect("written");
    assert_eq!(run(&["--check"], &variables[..1]).1, stdout);
}

#[test]
fn what_is_wrong_is_named_by_where_it_stands() {
    let address = "`x`: expected an IP address and a port, such as 127.0.0.1:9464 or [::]:9464\n";
    let (code, _, stderr) = run(&["--metrics-address", "x"], &[]);
    assert_eq!((code, stderr), (Some(2), format!("interceptor: --metrics-address: {address}")));
    let (code, _, stderr) = run(&[], &[("INTERCEPTOR_METRICS_ADDRESS", "x")]);
    assert_eq!((code, stderr), (Some(2), format!("interceptor: INTERCEPTOR_METRICS_ADDRESS: {address}")));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("c.yaml");
    fs::write(&file, "metrics:\n  address: x\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let (code, _, stderr) = run(&["--config", file], &[]);
    let expected = format!("interceptor: {file}:2:12: {address}  |   address: x\n  |            ^\n");
    assert_eq!((code, stderr), (Some(2), expected));
    let (code, _, stderr) = run(&["--metrics-adress", "x"], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("a similar argument exists: '--metrics-address'"), "{stderr}");
}

#[test]
fn an_address_in_use_ends_it_before_anything_is_attached() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, stdout, stderr) = run(&["--metrics-address", &address, "--log-level", "error"], &[]);
    let expected = format!(
        "interceptor: cannot serve metrics on {address} (choose another address with --metrics-address): Address \
         already in use (os error 98)\n"
    );
    assert_eq!((code, stdout.as_str(), stderr), (Some(1), "", expected));
}

#[test]
fn misspelt_variables_are_warned_of() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (_, _, stderr) = run(&["--metrics-address", &address], &[("INTERCEPTOR_LOG_LEVLE", "debug")]);
    let warning = "INTERCEPTOR_LOG_LEVLE is not known and was ignored; did you mean INTERCEPTOR_LOG_LEVEL?";
    assert!(stderr.contains(warning), "{stderr}");
}

#[test]
fn the_schema_is_printed() {
    let (code, stdout, _) = run(&["--print-config-schema"], &[]);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.schema.json");
    assert_eq!((code, stdout), (Some(0), fs::read_to_string(committed).expect("is there")));
}
