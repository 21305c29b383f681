//! Descriptors that servers tell about themselves (gRPC Server Reflection Protocol).

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorError, DescriptorPool, FileDescriptor,
    prost::Message as _,
    prost_types::{DescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto, MessageOptions},
};

use super::{
    builtin,
    wire::{self, Value},
};

/// Files that are kept; servers have dozens.
const FILES: usize = 4096;
/// Bytes of them as they were sent.
const BYTES: usize = 16 << 20;

/// What became of the files in one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Files whose messages are known from now on.
    pub added: usize,
    /// Files that wait for others which they import; all that wait, not only those of this message.
    pub waiting: usize,
    /// Files that are no descriptors, contradict others, or find no room.
    pub refused: usize,
}

/// What was learnt so far.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) pool: DescriptorPool,
    /// By their names.
    waiting: BTreeMap<String, FileDescriptorProto>,
    count: usize,
    bytes: usize,
}

impl Files {
    /// Takes a `ServerReflectionResponse`. The files may come in any order.
    pub(super) fn learn(&mut self, response: &[u8]) -> Learnt {
        let mut learnt = Learnt::default();
        for bytes in file_descriptors(response) {
            match FileDescriptorProto::decode(bytes) {
                Ok(file) if self.knows(file.name()) => {}
                Ok(file) if self.count < FILES && self.bytes + bytes.len() <= BYTES => {
                    self.count += 1;
                    self.bytes += bytes.len();
                    self.waiting.insert(file.name().to_owned(), reduced(file));
                }
                _ => learnt.refused += 1,
            }
        }
        self.link(&mut learnt);
        learnt.waiting = self.waiting.len();
        learnt
    }

    fn knows(&self, name: &str) -> bool {
        self.waiting.contains_key(name) || self.pool.get_file_by_name(name).is_some()
    }

    /// Adds those whose imports are there, until there are none.
    fn link(&mut self, learnt: &mut Learnt) {
        loop {
            let ready = |file: &FileDescriptorProto| {
                file.dependency
                    .iter()
                    .all(|name| self.pool.get_file_by_name(name).is_some() || self.import(name).is_some())
            };
            let Some(name) = self.waiting.iter().find(|(_, file)| ready(file)).map(|(name, _)| name.clone()) else {
                return;
            };
            let Some(file) = self.waiting.remove(&name) else { return };
            let imported = file.dependency.iter().try_for_each(|name| self.add_builtin(name));
            match imported.and_then(|()| self.pool.add_file_descriptor_proto(file)) {
                Ok(()) => learnt.added += 1,
                Err(error) => {
                    tracing::debug!("a server's descriptor is not used: {error:?}");
                    learnt.refused += 1;
                }
            }
        }
    }

    /// Clients have protobuf's own files and do not ask for them.
    fn import(&self, name: &str) -> Option<FileDescriptor> {
        let ours = name.starts_with("google/protobuf/") && !self.waiting.contains_key(name);
        ours.then(|| builtin::POOL.get_file_by_name(name)).flatten()
    }

    fn add_builtin(&mut self, name: &str) -> Result<(), DescriptorError> {
        if self.pool.get_file_by_name(name).is_some() {
            return Ok(());
        }
        let Some(file) = self.import(name) else { return Ok(()) };
        file.dependencies().try_for_each(|import| self.add_builtin(import.name()))?;
        self.pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())
    }
}

/// Field 4 of the response (`file_descriptor_response`) holds in its field 1 the files, in both versions of the protocol.
fn file_descriptors(response: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = |bytes, number| {
        let (fields, _) = wire::fields(bytes);
        fields.into_iter().filter_map(move |field| match field.value {
            Value::Bytes(value) if field.number == number && !field.cut => Some(value),
            _ => None,
        })
    };
    all(response, 4).flat_map(move |files| all(files, 1))
}

/// The file without what is not needed to read messages. It comes from a stranger: what is not there does no harm.
fn reduced(file: FileDescriptorProto) -> FileDescriptorProto {
    let FileDescriptorProto { name, package, dependency, mut public_dependency, .. } = file;
    public_dependency.retain(|index| usize::try_from(*index).is_ok_and(|index| index < dependency.len()));
    let mut file = FileDescriptorProto {
        name,
        package,
        dependency,
        public_dependency,
        message_type: file.message_type,
        enum_type: file.enum_type,
        service: file.service,
        syntax: syntax(file.syntax),
        ..FileDescriptorProto::default()
    };
    file.message_type.iter_mut().for_each(reduce_message);
    for enumeration in &mut file.enum_type {
        enumeration.options = None;
    }
    for service in &mut file.service {
        service.options = None;
        service.method.iter_mut().for_each(|method| method.options = None);
    }
    file
}

/// Editions are read as proto2: with presence, as is their default. What else they change, the wire tells.
pub(super) fn syntax(syntax: Option<String>) -> Option<String> {
    syntax.filter(|syntax| syntax == "proto3")
}

fn reduce_message(message: &mut DescriptorProto) {
    let map_entry = message.options.as_ref().and_then(|options| options.map_entry);
    message.options = map_entry.map(|_| MessageOptions { map_entry, ..MessageOptions::default() });
    message.extension.clear();
    message.field.iter_mut().for_each(reduce_field);
    for enumeration in &mut message.enum_type {
        enumeration.options = None;
    }
    message.nested_type.iter_mut().for_each(reduce_message);
}

fn reduce_field(field: &mut FieldDescriptorProto) {
    field.default_value = None;
    let packed = field.options.as_ref().and_then(|options| options.packed);
    field.options = packed.map(|_| FieldOptions { packed, ..FieldOptions::default() });
}
