//! Protobuf messages as JSON: by descriptors where there are any, else by what the wire tells.
//!
//! Descriptors come from the user, with the program, and from servers that told them in the capture; whoever comes first
//! in this order is believed. Only [`Registry::load`] reads files.

mod builtin;
mod guess;
mod learn;
mod load;
mod render;
mod scalar;
#[cfg(test)]
mod tests;
mod wellknown;
pub(crate) mod wire;

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
pub use prost_reflect::MethodDescriptor;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde::{Serialize, Serializer};

use self::{
    guess::{Guess, Numbered},
    render::{Context, DEPTH, Message},
    wire::{End, Field, Value},
};
pub use self::{learn::Learnt, load::Error};
use crate::model::Role;

/// Everything that is known of services and their messages. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A pool for each file, as two files may define the same differently.
    user: Vec<DescriptorPool>,
    learnt: RwLock<learn::Files>,
}

impl Registry {
    /// What comes with the program: the Open Inference Protocol with Triton's extensions, TensorFlow Serving, TorchServe,
    /// gRPC's health checking and server reflection, `google.rpc.Status` and its details, and protobuf's own types.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The same, and what these files define: `.proto` files and descriptor sets, told apart by what is in them. What a
    /// `.proto` file imports is looked for in the `include` directories, then beside it. Of two that define the same, the
    /// first is taken; what is built in comes after them.
    pub fn load(paths: &[PathBuf], include: &[PathBuf]) -> Result<Self, Error> {
        let user = paths.iter().map(|path| load::load(path, include)).collect::<Result<_, _>>()?;
        Ok(Self { shared: Arc::new(Shared { user, ..Shared::default() }) })
    }

    /// Learns from a message of a server: a `ServerReflectionResponse` of `grpc.reflection.v1` or `v1alpha`.
    pub fn learn(&self, response: &[u8]) -> Learnt {
        self.shared.learnt.write().unwrap_or_else(PoisonError::into_inner).learn(response)
    }

    /// The method that is called at this path: `/package.Service/Method`, with or without the first slash.
    pub fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/').unwrap_or(path).rsplit_once('/')?;
        self.find(|pool| pool.get_service_by_name(service)?.methods().find(|known| known.name() == method))
    }

    /// The type of a message, by its full name.
    fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.find(|pool| pool.get_message_by_name(name))
    }

    fn find<T>(&self, find: impl Fn(&DescriptorPool) -> Option<T>) -> Option<T> {
        let known = self.shared.user.iter().chain([&*builtin::POOL]).find_map(&find);
        known.or_else(|| find(&self.shared.learnt.read().unwrap_or_else(PoisonError::into_inner).pool))
    }

    /// A message of a call to the method at `path`, to be written as JSON. Where `truncated`, the bytes are the beginning
    /// of one, and what is whole of it is shown.
    pub fn to_json<'a>(&'a self, path: &str, role: Role, bytes: &'a [u8], truncated: bool) -> Decoded<'a> {
        let descriptor = self.method(path).map(|method| match role {
            Role::Request => method.input(),
            Role::Response => method.output(),
        });
        Decoded::new(self, descriptor, bytes, truncated)
    }

    /// The details of an error, from the value of a field `grpc-status-details-bin`: base64, with or without padding, of a
    /// `google.rpc.Status`. None where it is not.
    pub fn status_details(&self, field: &[u8]) -> Option<serde_json::Value> {
        // Peers that both said so in their settings (gRPC's C core, SETTINGS_GRPC_ALLOW_TRUE_BINARY_METADATA) leave out
        // base64; a zero byte in front tells.
        let bytes = match field.split_first() {
            Some((0, bytes)) => Cow::Borrowed(bytes),
            _ => Cow::Owned(LENIENT.decode(field).ok()?),
        };
        let decoded = Decoded::new(self, self.message("google.rpc.Status"), &bytes, false);
        if decoded.how() != How::Descriptor {
            return None;
        }
        serde_json::to_value(&decoded).ok()?.as_object_mut()?.remove("details")
    }
}

/// gRPC sends it without padding and accepts it with ("gRPC over HTTP2", Binary-Header).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How a message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By its descriptor, in the JSON mapping of proto3. Fields that the descriptor does not know are under their numbers.
    Descriptor,
    /// By the wire format: an object of numbers and what the fields seem to hold.
    Wire,
    /// Not as a message: it is none. A string: the text, or base64.
    Opaque,
}

/// A message to be written as JSON; it is read while it is written.
pub struct Decoded<'a> {
    descriptor: Option<MessageDescriptor>,
    how: How,
    bytes: &'a [u8],
    cut: bool,
    context: Context<'a>,
}

impl<'a> Decoded<'a> {
    fn new(registry: &'a Registry, descriptor: Option<MessageDescriptor>, bytes: &'a [u8], cut: bool) -> Self {
        let (fields, end) = wire::fields(bytes);
        let readable = match end {
            End::Whole | End::Many => true,
            // Of a first field that is cut there is something to show too.
            End::Cut => cut && !fields.is_empty(),
            End::Bad => false,
        };
        let how = match &descriptor {
            _ if !readable => How::Opaque,
            Some(descriptor) if is_of(descriptor, &fields) => How::Descriptor,
            _ => How::Wire,
        };
        Self { descriptor, how, bytes, cut, context: Context::new(registry, bytes.len()) }
    }

    /// How it is read.
    pub const fn how(&self) -> How {
        self.how
    }

    /// Is all of it in what was written? To be asked after that.
    pub const fn is_complete(&self) -> bool {
        self.context.is_complete()
    }
}

impl Serialize for Decoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { bytes, cut, context, .. } = self;
        match (&self.descriptor, self.how) {
            (Some(descriptor), How::Descriptor) => {
                Message { descriptor, bytes, cut: *cut, context, depth: DEPTH }.serialize(serializer)
            }
            (_, How::Opaque) => {
                Guess { value: Value::Bytes(bytes), cut: *cut, context, depth: 0 }.serialize(serializer)
            }
            _ => Numbered { bytes, context, depth: DEPTH }.serialize(serializer),
        }
    }
}

/// Could it be of this type? Not if it has fields of which the type knows none.
fn is_of(descriptor: &MessageDescriptor, fields: &[Field<'_>]) -> bool {
    let known = |field: &Field<'_>| {
        render::Known::of(descriptor, field.number).is_some_and(|known| known.fits(std::slice::from_ref(field)))
    };
    fields.is_empty() || fields.iter().any(known)
}
