use std::fs;

use prost_reflect::prost_types::FileDescriptorSet;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, names: &[&str], include: &[&str]) -> Result<Registry, Error> {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect::<Vec<_>>();
        Registry::load(&paths(names), &paths(include))
    }
}

const COMMON: &[u8] = b"syntax = \"proto3\"; package a; message Common { string word = 1; }";
const SERVICE: &[u8] =
    b"\nsyntax = \"proto3\"; package a; import \"lib/common.proto\"; import \"google/rpc/status.proto\";
    service S { rpc M(Common) returns (google.rpc.Status); }";

fn word(registry: &Registry, path: &str) -> Value {
    serde_json::to_value(registry.to_json(path, Role::Request, b"\x0a\x02hi", false)).expect("JSON")
}

#[test]
fn proto_files_find_their_imports() {
    let files = Files::new(&[("root/lib/common.proto", COMMON), ("root/s.proto", SERVICE), ("other/s.proto", SERVICE)]);
    for (names, include) in [(["root/s.proto"], &[][..]), (["other/s.proto"], &["root"]), (["root/s.proto"], &["root"])]
    {
        let registry = files.load(&names, include).expect("it compiles");
        assert_eq!(word(&registry, "/a.S/M"), json!({ "word": "hi" }));
    }
    let error = files.load(&["other/s.proto"], &[]).expect_err("an import is missing").to_string();
    assert!(error.starts_with("s.proto:2:31: import 'lib/common.proto' not found; --proto-path"), "{error}");
}

#[test]
fn descriptor_sets_are_told_by_their_content() {
    let files = Files::new(&[("lib/common.proto", COMMON), ("s.proto", SERVICE)]);
    let pool = super::super::load::load(&files.path("s.proto"), &[]).expect("it compiles");
    let mut all: Vec<_> = pool.file_descriptor_protos().cloned().collect();
    // In any order, and without what is built in.
    all.retain(|file| !file.name().starts_with("google/"));
    all.reverse();
    fs::write(files.path("set.proto"), FileDescriptorSet { file: all.clone() }.encode_to_vec()).expect("written");
    assert_eq!(word(&files.load(&["set.proto"], &[]).expect("a set"), "a.S/M"), json!({ "word": "hi" }));
    for file in &mut all {
        file.syntax = Some("editions".to_owned());
    }
    fs::write(files.path("editions"), FileDescriptorSet { file: all }.encode_to_vec()).expect("written");
    assert_eq!(word(&files.load(&["editions"], &[]).expect("a set"), "a.S/M"), json!({ "word": "hi" }));
}

#[test]
fn the_users_definitions_come_first() {
    let health = b"syntax = \"proto3\"; package grpc.health.v1; message Mine { string word = 1; }
        service Health { rpc Check(Mine) returns (Mine); }";
    let again = b"syntax = \"proto3\"; package grpc.health.v1; message Other { string other = 1; }
        service Health { rpc Check(Other) returns (Other); rpc New(Other) returns (Other); }";
    let files = Files::new(&[("grpc/health/v1/health.proto", health), ("again.proto", again)]);
    let registry = files.load(&["grpc/health/v1/health.proto", "again.proto"], &["."]).expect("both");
    assert_eq!(word(&registry, "/grpc.health.v1.Health/Check"), json!({ "word": "hi" }));
    assert_eq!(word(&registry, "/grpc.health.v1.Health/New"), json!({ "other": "hi" }));
    assert!(registry.method("/grpc.health.v1.Health/Watch").is_some(), "what the user has not is built in");
}

#[test]
fn errors_say_what_where_and_how_to_fix_it() {
    let files = Files::new(&[
        ("bad.proto", b"syntax = \"proto3\";\nmessage A {\n  strin x = 1;\n}\n"),
        ("worse.proto", b"syntax = \"proto3\";\nmessage {\n"),
        ("binary", b"\x7fELF\0\0"),
    ]);
    for (name, expected) in [
        ("bad.proto", "bad.proto:3:3: name 'strin' is not defined"),
        ("worse.proto", "worse.proto:2:9: expected an identifier, but found '{'"),
        ("binary", "is neither a .proto file nor a descriptor set"),
        ("missing", "cannot read "),
    ] {
        let error = files.load(&[name], &[]).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}
