//! Contents that are meant to hurt: what comes out and what is held stays bounded.

use super::{coding::*, *};

const MIB: usize = 1 << 20;
/// The largest window that we accept, brotli's of 16 MiB, and the tables around it.
const WINDOW_MAX: usize = 17 * MIB;

/// How much came out, the anomalies, and the most memory that was held.
fn feed(head: &Head, limits: Limits, pieces: impl IntoIterator<Item = Vec<u8>>) -> (u64, Vec<Anomaly>, usize) {
    let mut reader = Reader::of(head, &limits);
    let (mut size, mut anomalies, mut memory) = (0, Vec::new(), 0);
    let mut take = |item: Item<'_>| match item {
        Item::Bytes(bytes) => size += bytes.len() as u64,
        Item::Anomaly(anomaly) => anomalies.push(anomaly),
        Item::Format(_) | Item::Message(_) | Item::Trailers(_) => {}
    };
    for piece in pieces {
        reader.data(&piece, Timestamp::from_nanos(1), &limits, &mut take);
        memory = memory.max(reader.memory());
    }
    reader.end(&mut take);
    (size, anomalies, memory)
}

#[test]
fn a_bomb_goes_off_within_limits() {
    let zeros = vec![0; 64 * MIB];
    let limits = Limits { ratio: 100, output: 32 << 20, ..KEEP };
    for (name, encoder) in CODINGS {
        let bomb = encode_whole(encoder, &zeros);
        let head = head(&[("content-encoding", name)]);
        let allowed = (bomb.len().next_multiple_of(4096) as u64 * 100).max(1 << 20).min(limits.output);
        for size in [bomb.len(), 1460] {
            let (out, anomalies, memory) = feed(&head, limits, bomb.chunks(size).map(<[u8]>::to_vec));
            assert_eq!(anomalies, [Anomaly::ContentLimit], "{encoder}");
            assert!(out <= allowed && out >= MIB as u64, "{encoder}: {out} bytes of {allowed}");
            assert!(memory <= WINDOW_MAX, "{encoder}: {memory} bytes held");
        }
    }
    let bomb = encode_whole("gzip", &encode_whole("gzip", &zeros));
    let (out, anomalies, _) = feed(&head(&[("content-encoding", "gzip, gzip")]), KEEP, [bomb]);
    assert_eq!((out, anomalies), (4096 * 1000, vec![Anomaly::ContentLimit]));
}

#[test]
fn the_ratio_is_the_same_for_every_split() {
    // The limit is reached some steps on, in the middle of one.
    let bomb = encode_whole("gzip", &[&text(20_000)[..], &vec![0; 8 * MIB]].concat());
    let head = head(&[("content-encoding", "gzip")]);
    for ratio in [200, 250, 300, 350, 400] {
        let limits = Limits { ratio, ..KEEP };
        let whole = feed(&head, limits, [bomb.clone()]).0;
        for size in [7, 3000, 4096, 5000] {
            let split = feed(&head, limits, bomb.chunks(size).map(<[u8]>::to_vec)).0;
            assert_eq!(split, whole, "pieces of {size}, ratio {ratio}");
        }
    }
}

#[test]
fn a_compressed_message_is_bounded_too() {
    let head = head(&[("content-type", "application/grpc"), ("grpc-encoding", "gzip")]);
    let bomb = grpc::message(1, &grpc::gzip(&vec![0; 64 * MIB]));
    let limits = Limits { output: 3 << 20, ..KEEP };
    let (out, anomalies, _) = feed(&head, limits, vec![bomb; 3]);
    assert_eq!((out, anomalies), (3 << 20, vec![Anomaly::ContentLimit; 3]));
    // A length of 4 GiB allocates nothing.
    let pieces = std::iter::once(b"\x01\xff\xff\xff\xff".to_vec()).chain(std::iter::repeat_n(vec![1; 4096], 100));
    let (out, anomalies, memory) = feed(&head, KEEP, pieces);
    assert_eq!((out, anomalies, memory), (409_600, vec![Anomaly::ContentLimit], 0));
    let pieces = std::iter::once(b"\x01\x00\x3f\xff\xff".to_vec()).chain(std::iter::repeat_n(vec![1; 4096], 2000));
    let memory = feed(&head, KEEP, pieces).2;
    assert!(memory > 4_000_000 && memory <= 2 * KEEP.message + 100, "{memory}");
    let snappy = super::head(&[("content-type", "application/grpc"), ("grpc-encoding", "snappy")]);
    let huge = grpc::message(1, b"\xff\xff\xff\xff\x0f\x00");
    assert_eq!(feed(&snappy, KEEP, [huge]).1, [Anomaly::ContentLimit]);
}

#[test]
fn random_bytes_do_no_harm() {
    let mut state = 1_u64;
    let mut random = move |len: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    };
    let heads = ["gzip", "deflate", "br", "zstd"].map(|coding| head(&[("content-encoding", coding)]));
    let types = [
        "text/event-stream",
        "application/jsonl",
        "application/grpc",
        "application/grpc-web-text",
        "multipart/x;boundary=a",
    ];
    for head in heads.into_iter().chain(types.map(typed)) {
        for _ in 0..200 {
            let memory = feed(&head, KEEP, (0..4).map(|_| random(500))).2;
            assert!(memory <= WINDOW_MAX, "{memory}");
        }
    }
}

#[test]
fn a_line_without_end_is_not_kept() {
    for content_type in ["text/event-stream", "application/x-ndjson"] {
        let (out, anomalies, memory) = feed(&typed(content_type), KEEP, std::iter::repeat_n(vec![b'd'; MIB], 8));
        assert_eq!((out, anomalies), (8 << 20, vec![]));
        assert_eq!(memory, size_of::<super::super::Content>());
    }
}
