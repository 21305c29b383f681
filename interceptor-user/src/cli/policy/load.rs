use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::policy::{Error, Policy};

/// Reads policies: files, and of directories those that end in `.yaml` or `.yml`, in the order of their names.
pub(in crate::cli) fn load(paths: &[PathBuf]) -> Result<Policy, Error> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = in_directory(path).map_err(|error| Error::unreadable(path, &error))?;
            if found.is_empty() {
                return Err(Error::unreadable(path, &io::Error::other("no file in it ends in .yaml or .yml")));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    // Reading a pipe would wait for whoever writes it.
    let text = |path: &Path| {
        let regular = fs::metadata(path)?.is_file();
        if regular { fs::read_to_string(path) } else { Err(io::Error::other("it is no regular file")) }
    };
    let read = |path: PathBuf| match text(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(Error::unreadable(&path, &error)),
    };
    let texts = files.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let borrowed: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Policy::parse(&borrowed)
}

/// Those that begin with a dot are left out: Kubernetes mounts its volumes' versions so.
fn in_directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ends = |end| path.extension().is_some_and(|found| found == end);
        if !hidden && path.is_file() && (ends("yaml") || ends("yml")) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}
