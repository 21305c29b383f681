//! Descriptors that the user has: `.proto` files and descriptor sets. The only part of this module that reads files.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, prost::Message as _, prost_types::FileDescriptorSet};
use protox::{
    Compiler,
    file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver},
};

use super::{builtin, learn};

/// Largest file that is read.
const FILE_MAX: u64 = 64 << 20;

/// Why a file gives no descriptors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or may not be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not text, and no descriptor set either.
    #[error(
        "{path} is neither a .proto file nor a descriptor set; 'protoc --include_imports --descriptor_set_out=FILE' and \
         'buf build -o FILE.binpb' write such sets",
        path = path.display()
    )]
    Neither {
        /// Which.
        path: PathBuf,
    },
    /// It does not compile; the text has file, line and column.
    #[error("{what}{hint}")]
    Compile {
        /// What the compiler says.
        what: String,
        /// What helps.
        hint: &'static str,
    },
}

/// What this file defines, and what it imports: from these directories, from where it lies, or of what is built in.
pub(super) fn load(path: &Path, include: &[PathBuf]) -> Result<DescriptorPool, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let file = fs::File::open(path).map_err(unreadable(path))?;
    let mut bytes = Vec::new();
    // A device may go on for ever.
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable(path))?;
    if bytes.len() as u64 > FILE_MAX {
        let what = format!("it is larger than {} MiB, which no description of services is", FILE_MAX >> 20);
        return Err(unreadable(path)(io::Error::other(what)));
    }
    let set = descriptor_set(&bytes);
    if set.is_none() && (bytes.contains(&0) || str::from_utf8(&bytes).is_err()) {
        return Err(Error::Neither { path: path.to_owned() });
    }
    // A file in one of the directories has its name from there, however both are spelt.
    let path = &fs::canonicalize(path).map_err(unreadable(path))?;
    let include: Vec<PathBuf> =
        include.iter().map(|path| fs::canonicalize(path).map_err(unreadable(path))).collect::<Result<_, _>>()?;
    let mut resolver = ChainFileResolver::new();
    let names: Option<Vec<String>> =
        set.as_ref().map(|set| set.file.iter().map(|file| file.name().to_owned()).collect());
    if let Some(set) = set {
        resolver.add(DescriptorSetFileResolver::new(set));
    }
    let beside = path.parent().unwrap_or(path);
    // A file in none of them must not be taken for one of the same name.
    let within = include.iter().any(|directory| path.starts_with(directory));
    let (first, last) = if within { (None, Some(beside)) } else { (Some(beside), None) };
    for directory in first.into_iter().chain(include.iter().map(PathBuf::as_path)).chain(last) {
        resolver.add(IncludeFileResolver::new(directory.to_owned()));
    }
    resolver.add(GoogleFileResolver::new());
    resolver.add(builtin::Sources);
    let mut compiler = Compiler::with_file_resolver(resolver);
    match names {
        Some(names) => compiler.open_files(names),
        None => compiler.open_file(path),
    }
    .map_err(|error| {
        let hint = if error.is_file_not_found() { "; --proto-path names a directory to look in" } else { "" };
        // Only this form of it has the place.
        Error::Compile { what: format!("{error:?}"), hint }
    })?;
    Ok(compiler.descriptor_pool())
}

/// A set of descriptors, as protoc writes it, or an image of buf, which is one too. Files may have any extension, so only
/// what is in them tells: no `.proto` file is a message with files that have names.
fn descriptor_set(bytes: &[u8]) -> Option<FileDescriptorSet> {
    let mut set = FileDescriptorSet::decode(bytes).ok()?;
    for file in &mut set.file {
        file.syntax = learn::syntax(file.syntax.take());
    }
    let named = |name: &str| !name.is_empty() && !name.contains(char::is_control);
    (!set.file.is_empty() && set.file.iter().all(|file| named(file.name()))).then_some(set)
}
