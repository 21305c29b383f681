use std::fs;

use super::*;
use crate::sink::sample;

/// Has room for so many bytes.
pub(super) struct Disk {
    written: Vec<u8>,
    room: usize,
}

fn disk(lines: &mut Lines) -> &mut Disk {
    let To::Disk(disk) = &mut lines.to else { panic!("another place") };
    disk
}

fn on_disk(room: usize) -> Lines {
    Lines::new(To::Disk(Disk { written: Vec::new(), room }))
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.written.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn batch(count: usize) -> Vec<Arc<Record>> {
    (0..count).map(|_| Arc::new(Record::Exchange(Box::new(sample::exchange())))).collect()
}

#[test]
fn a_disk_that_is_full_loses_and_doubles_no_line_wherever_it_gets_full() {
    let mut whole = on_disk(usize::MAX);
    assert_eq!(whole.write(batch(3)).delivered, 3);
    let all = disk(&mut whole).written.clone();
    assert_eq!(memchr::memchr_iter(b'\n', &all).count(), 3);
    for room in 0..all.len() {
        let mut lines = on_disk(room);
        let first = lines.write(batch(3));
        assert!(first.error.is_some(), "{room}");
        disk(&mut lines).room = usize::MAX;
        let second = lines.write(first.left);
        // One that was begun last is counted before its end is there.
        lines.write_rest().expect("there is room");
        assert_eq!(first.delivered + second.delivered, 3, "{room}");
        assert_eq!(disk(&mut lines).written, all, "{room}");
    }
}

#[test]
fn a_reader_that_is_gone_takes_no_more() {
    let attempt = failed(batch(2), ErrorKind::BrokenPipe.into());
    assert_eq!((attempt.refused, attempt.left.len()), (2, 0));
    let attempt = failed(batch(2), ErrorKind::StorageFull.into());
    assert_eq!((attempt.refused, attempt.left.len()), (0, 2));
}

#[test]
fn files_are_rotated_before_they_grow_too_large_and_the_last_one_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lines.jsonl");
    let mut lines = Lines::to_file(&path, 1, 3).expect("opened");
    for _ in 0..5 {
        assert_eq!(lines.write(batch(1)).delivered, 1);
    }
    let mut names: Vec<_> =
        fs::read_dir(&directory).expect("there").map(|entry| entry.expect("read").file_name()).collect();
    names.sort();
    assert_eq!(names, ["lines.jsonl", "lines.jsonl.1", "lines.jsonl.2"]);
    for name in names {
        assert_eq!(fs::read_to_string(directory.path().join(name)).expect("text").lines().count(), 1);
    }
}

#[test]
fn a_file_that_another_program_takes_away_is_begun_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lines.jsonl");
    let mut lines = Lines::to_file(&path, 0, 1).expect("opened");
    lines.write(batch(1));
    fs::rename(&path, directory.path().join("archived")).expect("renamed");
    lines.write(batch(1));
    assert_eq!(fs::read_to_string(&path).expect("text").lines().count(), 1);
}

#[test]
fn half_a_line_of_who_was_killed_spoils_no_other_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lines.jsonl");
    for (there, lines) in [("", 1), ("{\"whole\":1}\n", 2), ("{\"ha", 2)] {
        fs::write(&path, there).expect("written");
        Lines::to_file(&path, 0, 1).expect("opened").write(batch(1));
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), lines, "{there}");
        assert!(text.lines().last().is_some_and(|line| line.starts_with('{') && line.ends_with('}')), "{text}");
    }
}
