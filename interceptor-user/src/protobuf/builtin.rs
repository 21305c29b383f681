//! The descriptors that come with the program: written from public specifications, in `interceptor-user/proto`.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

macro_rules! sources {
    ($($name:literal,)*) => { &[$(($name, include_str!(concat!("../../proto/", $name))),)*] };
}

/// By the names under which other files may import them.
const SOURCES: &[(&str, &str)] = sources![
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
    "inference/model_config.proto",
    "inference/service.proto",
    "tensorflow/core.proto",
    "tensorflow/error.proto",
    "tensorflow/serving.proto",
    "tensorflow/serving_model.proto",
    "torchserve/inference.proto",
    "torchserve/management.proto",
];

/// Types of protobuf itself, of which an Any may hold each.
const WELL_KNOWN: [&str; 7] = [
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
];

/// Compiled when it is needed first, in a few milliseconds.
pub(super) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    compile().unwrap_or_else(|error| {
        // A test says that this does not happen; without them, messages are shown by their numbers.
        tracing::error!("the descriptors that come with the program do not compile: {error:?}");
        DescriptorPool::new()
    })
});

fn compile() -> Result<DescriptorPool, protox::Error> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Sources);
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.open_files(WELL_KNOWN)?;
    compiler.open_files(SOURCES.iter().map(|(name, _)| name))?;
    Ok(compiler.descriptor_pool())
}

/// Finds our files where others import them.
#[derive(Debug)]
pub(super) struct Sources;

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match SOURCES.iter().find(|(known, _)| *known == name) {
            Some((name, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_compiles() {
        let pool = compile().expect("our own files");
        assert_eq!(pool.files().len(), SOURCES.len() + WELL_KNOWN.len());
    }
}
