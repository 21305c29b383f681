use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// A file that is renamed to `NAME.1` before it grows beyond a size, that to `NAME.2`, and so on; the last one goes.
/// Another program may rename or delete it as well: a new one is begun then.
#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    /// Bytes that it may have; 0 for any number.
    size: u64,
    /// Files that are kept, this one included.
    files: u32,
    file: File,
}

impl Rotated {
    /// Continues the file, or makes it.
    pub fn open(path: &Path, size: u64, files: u32) -> io::Result<Self> {
        let mut file = open(path)?;
        if is_torn(path) {
            file.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), size, files, file })
    }

    /// Is what we have open still what is there by that name?
    fn is_there(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rotate(&self) -> io::Result<()> {
        if self.files <= 1 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.files).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match fs::rename(from, self.numbered(number)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Does it end within a line? Who was killed, or had no more room, leaves half of one: ours is to be whole.
fn is_torn(path: &Path) -> bool {
    let last = || -> io::Result<Option<u8>> {
        // Nothing else is read: a pipe would lose what it has.
        let length = fs::metadata(path).map(|there| if there.is_file() { there.len() } else { 0 })?;
        let mut last = [0];
        let Some(at) = length.checked_sub(1) else { return Ok(None) };
        File::open(path)?.read_exact_at(&mut last, at)?;
        Ok(Some(last[0]))
    };
    last().is_ok_and(|last| last.is_some_and(|last| last != b'\n'))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Rotated {
    /// Makes room for so many bytes, and sees to it that the file is there.
    pub(super) fn prepare(&mut self, bytes: usize) -> io::Result<()> {
        if !self.is_there()? {
            self.file = open(&self.path)?;
        }
        let length = self.file.metadata()?.len();
        if self.size > 0 && length > 0 && length + bytes as u64 > self.size {
            self.rotate()?;
            self.file = open(&self.path)?;
        }
        Ok(())
    }
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
