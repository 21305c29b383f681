mod deploy;

use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};

use super::{keys::KEYS, *};

/// Flags and, through `std::env`, variables as the program sees them; `variables` are laid in as clap reads them.
fn overrides(args: &[&str]) -> Overrides {
    let command = Overrides::augment_args(Command::new("run"));
    let matches = command.try_get_matches_from([&["run"], args].concat()).expect("flags parse");
    Overrides::from_arg_matches(&matches).expect("flags are taken")
}

fn with_flags(args: &[&str]) -> Result<Config, String> {
    Config::load(None, &overrides(args)).map_err(|error| error.to_string())
}

fn file_error(text: &str) -> String {
    Config::parse("interceptor.yaml", text).expect_err("is refused").to_string()
}

#[test]
fn errors_in_files_say_what_where_and_how_to_fix_it() {
    let cases = [
        "metrics:\n  adress: 127.0.0.1:9464\n",
        "metrcs:\n  address: 127.0.0.1:9464\n",
        "log:\n  address: 127.0.0.1:9464\n",
        "log:\n  colour: red\n",
        "capture:\n  interfaces: [eth0, \"eth0 \"]\n",
        "capture:\n  interfaces: eth0\n",
        "capture:\n  ports: [80, 70000]\n",
        "capture:\n  ports: [9010-9000]\n",
        "capture:\n  cidrs:\n    - 10.1.2.3/8\n",
        "capture:\n  cidrs: [10.0.0.0/33]\n",
        "capture:\n  cidrs: [ten]\n",
        "capture:\n  direction: ingres\n",
        "capture:\n  sample: 0\n",
        "capture:\n  sample: 150%\n",
        "capture:\n  payload_limit: lots\n",
        "capture:\n  ring_size: 3MiB\n",
        "capture:\n  netns: [a/b]\n",
        "flow:\n  idle_timeout: 30\n",
        "flow:\n  max_flows: 0\n",
        "flow:\n  max_flows: -5\n",
        "flow:\n  gap_bytes:\n",
        "flow:\n  gap_bytes: {}\n",
        "flow:\n  gap_bytes: [1]\n",
        "metrics:\n  address: localhost\n",
        "metrics:\n  paths: templated\n",
        "inline:\n  upstream:\n    timeouts: {response: 0}\n",
        "inline:\n  upstream:\n    timeouts: {respond: 1s}\n",
        "inline:\n  upstream:\n    retries: {attempts: 2}\n",
        "inline:\n  upstream:\n    retry:\n      codes: [503, 200]\n",
        "inline:\n  upstream:\n    retry:\n      budget: {percent: 120}\n",
        "inline:\n  upstream:\n    health: {check: healthz}\n",
        "inline:\n  upstream:\n    limits: {requests: 0}\n",
        "privileges:\n  drop: maybe\n",
        "log:\n  level: verbose\n",
        "log:\n  level: info\n  level: warn\n",
        "log: info\n",
        "- log\n",
        "log: [\n",
        "log:\n\tlevel: info\n",
        "log:\n  level: *nowhere\n",
    ];
    let errors: String = cases.iter().map(|text| file_error(text) + "\n").collect();
    insta::assert_snapshot!(errors);
}

#[test]
fn errors_in_flags_name_the_flag() {
    let cases: [&[&str]; 8] = [
        &["--metrics-address", "localhost"],
        &["--inline-upstream-retry-budget-percent", "half"],
        &["--capture-direction", "outgoing"],
        &["--log-format", "jsonl"],
        &["--capture-ports", "80,http"],
        &["--capture-ring-size", "1000000"],
        &["--flow-gap-timeout", "5"],
        &["--privileges-sandbox", "yes"],
    ];
    let errors: String = cases.iter().map(|args| with_flags(args).expect_err("is refused") + "\n").collect();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_file_sets_what_it_names_and_leaves_the_rest() {
    let config = Config::parse(
        "test",
        "capture:\n  interfaces: [eth0, lo]\n  ports: [80, 9000-9010]\n  cidrs: [10.0.0.0/8, '::1']\n  sample: 0.5\n  \
         sock_ops: pods\n  netns: [pod1, /proc/1/ns/net]\nflow:\n  gap_timeout: 1m 30s\n  max_flows: 10\n  gap_bytes: 64 KiB\n",
    )
    .expect("is valid");
    assert_eq!(config.capture.interfaces, [Interface("eth0".into()), Interface("lo".into())]);
    assert_eq!(config.capture.ports, [Ports { first: 80, last: 80 }, Ports { first: 9000, last: 9010 }]);
    assert_eq!(config.capture.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.capture.sample, Fraction(0.5));
    assert_eq!(config.capture.sock_ops, SockOps::Cgroup(Cgroup("pods".into())));
    assert_eq!(config.capture.netns, [Netns("/run/netns/pod1".into()), Netns("/proc/1/ns/net".into())]);
    assert_eq!(config.flow.gap_timeout, Period(Duration::from_secs(90)));
    assert_eq!(config.flow.max_flows, Count(10));
    assert_eq!(config.flow.gap_bytes, Size(65_536));
    assert_eq!(config.flow.idle_timeout, Flow::default().idle_timeout);
    assert_eq!(config.metrics, Metrics::default());
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing\n", "---\n", "{}\n"] {
        assert_eq!(Config::parse("test", text).expect("is valid"), Config::default(), "{text:?}");
    }
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("c.yaml");
    fs::write(&file, "metrics:\n  address: 127.0.0.1:1\n  max_label_sets: 7\ncapture:\n  ports: [1]\n")
        .expect("written");
    let overrides = overrides(&["--metrics-address", "[::1]:2", "--capture-ports", "2,3-4", "--capture-ports", "5"]);
    let config = Config::load(Some(&file), &overrides).expect("is valid");
    assert_eq!(config.metrics.address.to_string(), "[::1]:2");
    assert_eq!(config.metrics.max_label_sets, Count(7));
    assert_eq!(config.capture.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2", "3-4", "5"]);
    assert_eq!(config.log, Log::default());
}

#[test]
fn a_missing_file_is_one_clear_line() {
    let error = Config::load(Some(Path::new("/nonexistent.yaml")), &Overrides::default()).expect_err("is refused");
    assert_eq!(error.to_string(), "/nonexistent.yaml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn every_key_is_a_flag_and_a_variable_by_one_rule() {
    let command = Overrides::augment_args(Command::new("run"));
    let tree = serde_json::to_value(Config::default()).expect("serialises");
    let mut open: Vec<(String, serde_json::Value)> = vec![(String::new(), tree)];
    let mut leaves = 0;
    while let Some((section, value)) = open.pop() {
        for (name, inner) in value.as_object().expect("a section") {
            let path = if section.is_empty() { name.clone() } else { format!("{section}_{name}") };
            if inner.is_object() {
                open.push((path, inner.clone()));
                continue;
            }
            let flag = path.replace('_', "-");
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(&flag)).expect("a flag");
            let variable = format!("INTERCEPTOR_{path}").to_uppercase();
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            assert!(arg.get_help().is_some_and(|help| help.to_string().len() > 10), "{flag} has no help");
            leaves += 1;
        }
    }
    assert_eq!(KEYS.len(), leaves);
}

#[test]
fn every_default_reads_back_as_itself() {
    let text = serde_json::to_string(&Config::default()).expect("serialises");
    assert_eq!(Config::parse("default", &text).expect("is valid"), Config::default());
}

#[test]
fn the_default_limits_are_those_of_the_stages() {
    let config = Config::default();
    assert_eq!(flow::Limits::from(&config.flow), flow::Limits::default());
    let limits = session::Limits::from(&config.session);
    assert_eq!(format!("{limits:?}"), format!("{:?}", session::Limits { body: 0, ..session::Limits::default() }));
}

#[test]
fn text_of_values_reads_back() {
    for text in ["1", "1536", "2KiB", "1536KiB", "3GiB", "0"] {
        assert_eq!(text.parse::<Size>().expect("is a size").to_string(), text);
    }
    for text in ["250ms", "1s", "90s", "5m", "36h", "7us"] {
        assert_eq!(text.parse::<Period>().expect("is a period").to_string(), text);
    }
    assert_eq!("18446744073709551615GiB".parse::<Size>().ok(), None);
    assert_eq!("0.0.0.0/0".parse::<Cidr>().expect("is a network").to_string(), "0.0.0.0/0");
    assert_eq!("::/0".parse::<Cidr>().expect("is a network").to_string(), "::/0");
}

#[test]
fn help_is_complete() {
    let mut command = Overrides::augment_args(Command::new("run")).term_width(100);
    insta::assert_snapshot!(command.render_long_help());
}

#[test]
fn misspelt_variables_are_found_and_foreign_ones_are_not() {
    let names = ["INTERCEPTOR_METRICS_ADRESS", "INTERCEPTOR_METRICS_ADDRESS", "INTERCEPTOR_PORT_80_TCP", "PATH"];
    let found = unknown_variables(names.iter().map(|name| (*name).to_owned()));
    assert_eq!(found, [("INTERCEPTOR_METRICS_ADRESS".to_owned(), "INTERCEPTOR_METRICS_ADDRESS")]);
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&committed, schema_text()).expect("written");
    }
    let committed = fs::read_to_string(committed).expect("docs/config.schema.json is there");
    assert!(committed == schema_text(), "docs/config.schema.json is outdated; run this test with UPDATE_DOCS=1");
}

#[test]
fn the_schema_accepts_what_we_accept_and_refuses_unknown_keys() {
    let validator = jsonschema::validator_for(schema().as_value()).expect("is a schema");
    let valid = |text: &str| validator.is_valid(&serde_json::from_str(text).expect("is JSON"));
    assert!(valid(&serde_json::to_string(&Config::default()).expect("serialises")));
    assert!(valid(
        r#"{"capture": {"ports": [80, "9000-9010"], "sample": 0.5, "payload_limit": 4096, "sock_ops": "root"}}"#
    ));
    assert!(!valid(r#"{"capture": {"port": [80]}}"#));
    assert!(!valid(r#"{"metrics": {"paths": "templated"}}"#));
    assert!(!valid(r#"{"capture": {"sample": 2}}"#));
    assert!(valid(r#"{"privileges": {"drop": false}}"#) && !valid(r#"{"privileges": {"drop": "false"}}"#));
}
