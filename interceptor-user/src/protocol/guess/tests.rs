use proptest::prelude::*;

use super::*;
use crate::model::{LossReason, TlsVersion};

fn vector8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}

/// A handshake message, in records of this size.
fn records(kind: u8, body: &[u8], size: usize) -> Vec<u8> {
    let message = [&[kind][..], &(body.len() as u32).to_be_bytes()[1..], body].concat();
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
}

fn client_hello(extensions: &[Vec<u8>], size: usize) -> Vec<u8> {
    let fixed = [&[3, 3][..], &[7; 32], &vector8(&[1; 32]), &vector16(&[0x13, 1]), &vector8(&[0])].concat();
    records(1, &[fixed, vector16(&extensions.concat())].concat(), size)
}

fn server_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let fixed = [&[3, 3][..], &[9; 32], &vector8(&[1; 32]), &[0x13, 1, 0]].concat();
    records(2, &[fixed, vector16(&extensions.concat())].concat(), 1 << 14)
}

fn sni(name: &str) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name.as_bytes())].concat()))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(16, &vector16(&names.iter().flat_map(|name| vector8(name)).collect::<Vec<_>>()))
}

fn guess(chunks: &[(Side, &[u8])]) -> (Protocol, Option<TlsHello>) {
    let mut guesser = Guesser::default();
    for (side, bytes) in chunks {
        guesser.chunk(*side, Chunk::Data(bytes), usize::MAX);
        assert!(guesser.held() <= LIMIT + 8192);
    }
    let (protocol, hello) = guesser.take();
    assert_eq!(guesser.memory(), 0);
    (protocol, hello.map(|hello| *hello))
}

/// What a browser and a server of today say.
fn modern() -> (Vec<u8>, Vec<u8>, TlsHello) {
    let versions = extension(43, &vector8(&[0x8a, 0x8a, 3, 4, 3, 3]));
    let padding = extension(21, &[0; 1800]);
    let client = [sni("model.example"), padding, alpn(&[&[0x1a, 0x1a], b"h2", b"http/1.1"]), versions];
    let hello = TlsHello {
        server_name: Some("model.example".into()),
        offered: vec!["h2".into(), "http/1.1".into()],
        chosen: None,
        offered_version: Some(TlsVersion::Tls13),
        version: Some(TlsVersion::Tls13),
    };
    (client_hello(&client, 700), server_hello(&[extension(43, &[3, 4])]), hello)
}

#[test]
fn hellos_tell_name_protocols_and_versions() {
    let (client, server, hello) = modern();
    assert_eq!(guess(&[(Side::Client, &client), (Side::Server, &server)]), (Protocol::Tls, Some(hello)));

    let client = client_hello(&[sni("old.example"), alpn(&[b"h2"])], 1 << 14);
    let server = server_hello(&[alpn(&[b"h2"])]);
    let (protocol, hello) = guess(&[(Side::Client, &client), (Side::Server, &server)]);
    let hello = hello.expect("two hellos");
    assert_eq!(
        (protocol, hello.version, hello.offered_version),
        (Protocol::Tls, Some(TlsVersion::Tls12), Some(TlsVersion::Tls12))
    );
    assert_eq!((hello.server_name.as_deref(), hello.chosen.as_deref()), (Some("old.example"), Some("h2")));

    // Refused by an alert; joined later; only the answer seen.
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let refused = guess(&[(Side::Client, &client), (Side::Server, &alert)]).1.expect("a hello");
    assert_eq!((refused.offered_version, refused.version), (Some(TlsVersion::Tls12), None));
    assert_eq!(guess(&[(Side::Client, &[23, 3, 3, 0, 30, 1, 2])]), (Protocol::Tls, None));
    let answer = guess(&[(Side::Server, &server)]).1.expect("a hello");
    assert_eq!((answer.chosen.as_deref(), answer.server_name), (Some("h2"), None));
}

#[test]
fn tls_that_is_asked_for_first_is_read_too() {
    let (client, server, hello) = modern();
    let request = [&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f][..], &client].concat();
    let agreed = [b"S", &server[..]].concat();
    let told = guess(&[(Side::Client, &request), (Side::Server, &agreed)]);
    assert_eq!(told, (Protocol::Postgresql, Some(hello)));
    let startup = [&request[..8], &[0, 0, 0, 20, 0, 3, 0, 0], b"user\0me\0\0\0"].concat();
    assert_eq!(guess(&[(Side::Client, &request[..8]), (Side::Server, b"N"), (Side::Client, &startup)]).1, None);
}

const KAFKA: &[u8] = b"\0\0\0\x23\0\x12\0\x03\0\0\0\x01\0\x08producer\0\x0bkafka-java\x063.7.0\0";

/// The side that says it, what it says, and what that is.
const CASES: &[(Side, &[u8], Protocol)] = &[
    (Side::Client, b"*1\r\n$4\r\nPING\r\n", Protocol::Redis),
    (Side::Client, b"*12\r\n$3\r\nSET\r\n", Protocol::Redis),
    (Side::Client, b"*a\r\n", Protocol::Unknown),
    (Side::Client, b"*1\r\n+OK\r\n", Protocol::Unknown),
    (Side::Client, b"\0\0\0\x20\0\x03\0\0user\0me\0database\0db\0\0", Protocol::Postgresql),
    (Side::Client, b"\0\0\0\x08\x04\xd2\x16\x2f", Protocol::Postgresql),
    (Side::Client, b"\0\0\0\x08\x04\xd2\x16\x99", Protocol::Unknown),
    (Side::Client, KAFKA, Protocol::Kafka),
    (Side::Client, b"\0\0\0\x12\0\x03\0\0\0\0\0\x01\0\x02me\0\0\0\0", Protocol::Kafka),
    (Side::Client, b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff", Protocol::Kafka),
    (Side::Client, b"\0\0\0\x0a\0\x01\0\0\0\0\0\x01\xff\xff", Protocol::Unknown),
    (Side::Client, b"\0\0\0\x12\0\x03\0\0\0\0\0\x01\0\x02\x01\x02\0\0\0\0", Protocol::Unknown),
    (Side::Server, b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0", Protocol::Mysql),
    (Side::Server, b"\x4a\0\0\0\x0aversion\0", Protocol::Unknown),
    (Side::Client, b"\x3b\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0", Protocol::Mongodb),
    (Side::Client, b"\x3b\0\0\0\x01\0\0\0\0\0\0\0\xdd\x08\0\0\0\0\0\0", Protocol::Unknown),
    (Side::Server, b"SSH-2.0-OpenSSH_9.2p1\r\n", Protocol::Ssh),
    (Side::Server, b"220 mail.example ESMTP ready\r\n", Protocol::Smtp),
    (Side::Server, b"220 ftp.example ready\r\n", Protocol::Unknown),
    (Side::Client, b"ehlo me\r\n", Protocol::Smtp),
    (Side::Client, b"AMQP\0\0\x09\x01", Protocol::Amqp),
    (Side::Client, b"AMQP!", Protocol::Unknown),
    (Side::Client, b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c", Protocol::Mqtt),
    (Side::Client, b"\x10\x0e\0\x06MQIsdp\x03", Protocol::Mqtt),
    (Side::Client, b"\x10\x0e\0\x04MQIs\x05\x02\0\x3c", Protocol::Unknown),
    (Side::Client, b"get user:1 user:2\r\n", Protocol::Memcached),
    (Side::Client, b"set user:1 0 3600 2\r\nok\r\n", Protocol::Memcached),
    (Side::Client, b"version\r\n", Protocol::Memcached),
    (Side::Client, b"set of words in a line\r\n", Protocol::Unknown),
    (Side::Client, b"\x80\0\0\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0Hello", Protocol::Memcached),
    (Side::Client, b"\x80\0\0\x05\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0Hell", Protocol::Unknown),
    (Side::Client, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Protocol::Unknown),
    (Side::Client, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Protocol::Unknown),
    (Side::Client, b"hello world, this is nothing\r\n", Protocol::Unknown),
];

#[test]
fn first_bytes_tell_the_protocol_and_are_not_kept() {
    for (side, bytes, expected) in CASES {
        let mut guesser = Guesser::default();
        guesser.chunk(*side, Chunk::Data(bytes), usize::MAX);
        assert_eq!(guesser.protocol(), *expected, "{}", bytes.escape_ascii());
        let turns_to_tls = binary::asks_for_tls(bytes);
        // So few may yet become something.
        assert!(bytes.len() < 16 || guesser.held() == 0, "{} is kept", bytes.escape_ascii());
        let settled = *expected != Protocol::Unknown && !turns_to_tls;
        assert_eq!(guesser.0.as_ref().is_some_and(|guessing| guessing.over()), settled, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_finds_no_room_and_what_is_too_long_is_given_up() {
    let (client, ..) = modern();
    let mut guesser = Guesser::default();
    guesser.chunk(Side::Client, Chunk::Data(&client[..1000]), 999);
    assert_eq!((guesser.held(), guesser.wants_more(), guesser.protocol()), (0, false, Protocol::Tls));
    assert!(guesser.take_given_up() && !guesser.take_given_up());

    let endless = records(1, &[3; LIMIT - HEADER], 1000);
    let mut guesser = Guesser::default();
    for part in endless.chunks(999) {
        guesser.chunk(Side::Client, Chunk::Data(part), usize::MAX);
        assert!(guesser.held() <= LIMIT + 64);
    }
    assert!(guesser.0.as_ref().is_some_and(|guessing| guessing.client.over), "the client's side has told enough");

    let mut guesser = Guesser::default();
    guesser.chunk(Side::Client, Chunk::Data(&client[..1000]), usize::MAX);
    guesser.chunk(Side::Client, Chunk::Gap { len: 1, reason: LossReason::NotSeen }, usize::MAX);
    assert_eq!(guesser.held(), 0);
}

const HEADER: usize = 4;

proptest! {
    #[test]
    fn any_split_of_the_same_bytes_gives_the_same_guess(
        which in 0..CASES.len() + 2,
        change in proptest::option::of((0..64_usize, any::<u8>())),
        cuts in prop::collection::vec(0..3000_usize, 0..6),
    ) {
        let (client, server, _) = modern();
        let mut bytes = CASES.get(which).map_or(if which % 2 == 0 { client } else { server }, |case| case.1.to_vec());
        if let Some((place, value)) = change && let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| (Side::Client, &bytes[cut[0]..cut[1]])).collect();
        prop_assert_eq!(guess(&parts), guess(&[(Side::Client, &bytes)]));
    }

    #[test]
    fn no_bytes_are_too_odd(chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8), tls: bool) {
        let start: &[u8] = if tls { &[22, 3, 1, 0, 200, 1, 0, 0, 100] } else { &[] };
        let mut all = vec![(Side::Client, start)];
        all.extend(chunks.iter().map(|(client, bytes)| (if *client { Side::Client } else { Side::Server }, &bytes[..])));
        guess(&all);
    }
}
