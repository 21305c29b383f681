//! Safe reading of ring records.

use crate::{EventHeader, SegmentEvent, SocketEvent};

/// Reads `T` from the front of `bytes`, if they are enough.
#[expect(unsafe_code, reason = "plain integers from bytes whose length was checked")]
fn front<T: Plain>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: enough bytes are there; `read_unaligned` wants no alignment; `Plain` types have no invalid bit pattern.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// `#[repr(C)]`, integers only, so that any bit pattern is a value.
trait Plain: Copy {}
impl Plain for EventHeader {}
impl Plain for SegmentEvent {}
impl Plain for SocketEvent {}

impl EventHeader {
    /// From a record's bytes; `None` if they are too few.
    pub fn read(record: &[u8]) -> Option<Self> {
        front(record)
    }
}

impl SegmentEvent {
    /// From a record's bytes, with the payload that follows; `None` if they are fewer than the event says.
    pub fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let event: Self = front(record)?;
        let payload = record.get(size_of::<Self>()..)?.get(..event.captured as usize)?;
        Some((event, payload))
    }
}

impl SocketEvent {
    /// From a record's bytes; `None` if they are too few.
    pub fn read(record: &[u8]) -> Option<Self> {
        front(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shorter_than_it_says_is_refused() {
        let mut record = [0_u8; size_of::<SegmentEvent>() + 3];
        let at = core::mem::offset_of!(SegmentEvent, captured);
        record[at] = 3;
        record[size_of::<SegmentEvent>() + 2] = 7;
        let (event, payload) = SegmentEvent::read(&record).unwrap();
        assert_eq!((event.captured, payload), (3, &[0, 0, 7][..]));
        record[at] = 4;
        assert!(SegmentEvent::read(&record).is_none());
        assert!(SegmentEvent::read(&record[..50]).is_none());
        assert!(EventHeader::read(&record[..7]).is_none());
        assert!(SocketEvent::read(&record).is_none(), "a socket event is longer");
    }
}
