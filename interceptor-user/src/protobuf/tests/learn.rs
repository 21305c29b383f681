use proptest::prelude::*;
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::*;

fn message(name: &str, field: &str, type_name: Option<&str>) -> DescriptorProto {
    let field = FieldDescriptorProto {
        name: Some(field.to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(type_name.map_or(Type::String, |_| Type::Message).into()),
        type_name: type_name.map(str::to_owned),
        ..FieldDescriptorProto::default()
    };
    DescriptorProto { name: Some(name.to_owned()), field: vec![field], ..DescriptorProto::default() }
}

fn file(name: &str, imports: &[&str], message: DescriptorProto) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("p".to_owned()),
        dependency: imports.iter().map(|name| (*name).to_owned()).collect(),
        message_type: vec![message],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

/// A service, the type of its messages, a type in that, and that has one of protobuf's own.
fn files() -> [Vec<u8>; 3] {
    let mut service = file("service.proto", &["outer.proto"], message("Unused", "x", None));
    let method = MethodDescriptorProto {
        name: Some("M".to_owned()),
        input_type: Some(".p.Outer".to_owned()),
        output_type: Some(".p.Outer".to_owned()),
        ..MethodDescriptorProto::default()
    };
    service.service = vec![ServiceDescriptorProto { name: Some("S".to_owned()), method: vec![method], options: None }];
    let outer = file("outer.proto", &["inner.proto"], message("Outer", "inner", Some(".p.Inner")));
    let inner = file(
        "inner.proto",
        &["google/protobuf/wrappers.proto"],
        message("Inner", "wrapped", Some(".google.protobuf.StringValue")),
    );
    [service, outer, inner].map(|file| file.encode_to_vec())
}

fn response(files: &[Vec<u8>]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|file| base64::engine::general_purpose::STANDARD.encode(file)).collect();
    encoded(
        "grpc.reflection.v1.ServerReflectionResponse",
        &json!({ "validHost": "h", "fileDescriptorResponse": { "fileDescriptorProto": files } }),
    )
}

fn shown(registry: &Registry) -> Value {
    serde_json::to_value(registry.to_json("/p.S/M", Role::Request, b"\x0a\x06\x0a\x04\x0a\x02hi", false)).expect("JSON")
}

#[test]
fn files_may_come_in_any_order() {
    let [service, outer, inner] = files();
    for order in [[&service, &outer, &inner], [&inner, &outer, &service], [&outer, &inner, &service]] {
        let registry = Registry::builtin();
        assert_eq!(shown(&registry), json!({ "1": { "1": { "1": "hi" } } }));
        let learnt = order.map(|file| registry.learn(&response(std::slice::from_ref(file))));
        assert_eq!(learnt.iter().map(|learnt| learnt.added).sum::<usize>(), 3);
        assert_eq!((learnt[2].waiting, learnt[2].refused), (0, 0));
        assert_eq!(shown(&registry.clone()), json!({ "inner": { "wrapped": "hi" } }));
        assert_eq!(registry.learn(&response(&files())), Learnt::default(), "known already");
    }
    let registry = Registry::builtin();
    assert_eq!(registry.learn(&response(&files())).added, 3, "in one message");
    let registry = Registry::builtin();
    assert_eq!(registry.learn(&response(&[service])), Learnt { waiting: 1, ..Learnt::default() });
}

#[test]
fn a_server_does_not_redefine_what_is_built_in() {
    let mut health = file("grpc/health/v1/health.proto", &[], message("HealthCheckRequest", "fake", None));
    health.package = Some("grpc.health.v1".to_owned());
    let registry = Registry::builtin();
    registry.learn(&response(&[health.encode_to_vec()]));
    let input = registry.method("/grpc.health.v1.Health/Check").expect("built in").input();
    assert!(input.get_field_by_name("service").is_some());
}

#[test]
fn what_is_learnt_is_bounded() {
    let registry = Registry::builtin();
    let all: Vec<Vec<u8>> = (0..5000)
        .map(|number| file(&format!("{number}.proto"), &["missing.proto"], message(&format!("M{number}"), "x", None)))
        .map(|file| file.encode_to_vec())
        .collect();
    let learnt = registry.learn(&response(&all));
    assert_eq!(learnt, Learnt { added: 0, waiting: 4096, refused: 904 });
    let registry = Registry::builtin();
    let large = file("large.proto", &[], message(&"M".repeat(17 << 20), "x", None));
    assert_eq!(registry.learn(&response(&[large.encode_to_vec()])).refused, 1);
    let contradicts = [file("a", &[], message("A", "x", None)), file("b", &[], message("A", "y", None))];
    let learnt = registry.learn(&response(&contradicts.map(|file| file.encode_to_vec())));
    assert_eq!((learnt.added, learnt.refused), (1, 1));
    assert_eq!(registry.learn(&response(&[b"\xff\xff".to_vec()])).refused, 1);
}

proptest! {
    #[test]
    fn no_file_does_harm(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8), which in 0..3_usize) {
        let builtin: Vec<Vec<u8>> = builtin::POOL.files().map(|file| file.encode_to_vec()).collect();
        let mut files = files().to_vec();
        files.extend(builtin);
        let mut all = Vec::new();
        for mut file in files {
            for (index, byte) in &changes {
                let at = index.index(file.len());
                match which {
                    0 => file[at] = *byte,
                    1 => file[at] = file[at].wrapping_add(1),
                    _ => file.insert(at, *byte),
                }
            }
            all.push(file);
        }
        let registry = Registry::builtin();
        let learnt = registry.learn(&response(&all));
        prop_assert_eq!(learnt.added + learnt.waiting + learnt.refused <= all.len(), true);
        let pool = registry.shared.learnt.read().expect("not poisoned").pool.clone();
        for message in pool.all_messages() {
            let bytes = inference().to_string();
            let decoded = Decoded::new(&registry, Some(message), bytes.as_bytes(), true);
            serde_json::to_string(&decoded).expect("JSON");
        }
    }
}
