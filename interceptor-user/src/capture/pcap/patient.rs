use std::{
    io::{self, Read},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};

/// How long the wish to stop may go unnoticed, in milliseconds.
const LOOK: u16 = 100;

/// A file that may be a pipe whose writer says nothing for long: it ends as soon as `stop` is set.
pub(super) struct Patient<R> {
    pub(super) reader: R,
    pub(super) stop: Arc<AtomicBool>,
}

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !self.stop.load(Relaxed) {
            match poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], LOOK) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return self.reader.read(to),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
