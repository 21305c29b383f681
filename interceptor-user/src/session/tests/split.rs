//! Any split of the same bytes gives the same messages, for good conversations and bad ones.

use proptest::{prelude::*, sample::Index};

use super::*;

/// Pieces of heads and content, whose mixtures reach every state of a decoder.
const FRAGMENTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a HTTP/1.0\r\n",
    b"HEAD /b HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"PURGE  /c HTTP/1.1\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 X\r\n",
    b"HTTP/1.0 417\n",
    b"HTTP/1.1 101 S\r\n",
    b"Host: h\r\n",
    b"A: b\r\n c\r\n",
    b"A b\r\n",
    b"Expect: 100-continue\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 12\r\n",
    b"Content-Length: x\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"5\r\nhello\r\n",
    b"5;x=y\nhello\n",
    b"0\r\n",
    b"0\r\nT: u\r\n\r\n",
    b"hello",
    b"GET ",
    b"PO",
    b"HTTP/1.",
    b"\xff\xfe",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(FRAGMENTS), 0..12).prop_map(|fragments| fragments.concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => soup().prop_map(Step::Client),
        8 => soup().prop_map(Step::Server),
        1 => (1..20_u64).prop_map(Step::ClientGap),
        1 => (1..20_u64).prop_map(Step::ServerGap),
    ]
}

/// A message's content: its framing, and what goes over the wire.
fn content() -> impl Strategy<Value = (String, Vec<u8>)> {
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        Just((String::new(), Vec::new())),
        bytes.clone().prop_map(|bytes| (format!("Content-Length: {}\r\n", bytes.len()), bytes)),
        (prop::collection::vec(bytes, 0..4), "[a-z]{0,5}", any::<bool>()).prop_map(|(chunks, extension, trailer)| {
            let mut coded = Vec::new();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                let extension = if extension.is_empty() { String::new() } else { format!(";{extension}=1") };
                coded.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
                coded.extend(chunk);
                coded.extend(b"\r\n");
            }
            coded.extend(if trailer { &b"0\r\nSum: 1\r\n\r\n"[..] } else { b"0\r\n\r\n" });
            ("Transfer-Encoding: chunked\r\n".to_owned(), coded)
        }),
    ]
}

/// A valid exchange.
fn exchange() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let method = prop::sample::select(vec!["GET", "POST", "HEAD", "PUT"]);
    let status = prop::sample::select(vec![200_u16, 204, 304, 404]);
    (method, "/[a-z]{0,9}", content(), status, content(), 0..3_usize).prop_map(
        |(method, target, asked, status, answered, interim)| {
            let mut request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{}\r\n", asked.0).into_bytes();
            request.extend(asked.1);
            let mut response = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(interim);
            let framing = if answered.0.is_empty() { "Content-Length: 0\r\n" } else { &answered.0 };
            response.extend(format!("HTTP/1.1 {status} X\r\nServer: s\r\n{framing}\r\n").into_bytes());
            if method != "HEAD" && status != 204 && status != 304 {
                response.extend(answered.1);
            }
            (request, response)
        },
    )
}

fn split(steps: &[Step], lengths: &[usize]) -> Vec<Step> {
    let mut lengths = lengths.iter().cycle();
    let mut pieces = Vec::new();
    for step in steps {
        let (make, mut bytes): (fn(Vec<u8>) -> Step, _) = match step {
            Step::Client(bytes) => (Step::Client, &bytes[..]),
            Step::Server(bytes) => (Step::Server, &bytes[..]),
            other => {
                pieces.push(other.clone());
                continue;
            }
        };
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((*lengths.next().unwrap()).min(bytes.len()));
            pieces.push(make(piece.to_vec()));
            bytes = rest;
        }
    }
    pieces
}

/// Everything that comes of a flow, but for the times, which are those of the pieces.
fn outcome(joined: bool, steps: &[Step], end: FlowEnd) -> (Vec<Exchange>, FlowRecord) {
    let limits = Limits {
        head: 300,
        body: 16,
        decide: None,
        pipeline: 4,
        streams: 4,
        memory: 1 << 20,
        messages: false,
        room: usize::MAX,
    };
    let (mut exchanges, mut over) = run_with(&limits, joined, steps, end);
    over.time = Timestamp::default();
    for exchange in &mut exchanges {
        for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
            part.first_byte = Timestamp::default();
            part.last_byte = Timestamp::default();
        }
    }
    (exchanges, over)
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), prop::collection::vec(1..9_usize, 1..9), prop::collection::vec(1..200_usize, 1..9)]
}

fn end() -> impl Strategy<Value = FlowEnd> {
    prop::sample::select(vec![FlowEnd::Closed, FlowEnd::Reset, FlowEnd::CaptureEnded])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn valid_conversations(exchanges in prop::collection::vec(exchange(), 1..5), pipelined: bool, lengths in lengths()) {
        let mut steps = Vec::new();
        if pipelined {
            steps.push(Step::Client(exchanges.iter().flat_map(|(request, _)| request.clone()).collect()));
            steps.push(Step::Server(exchanges.iter().flat_map(|(_, response)| response.clone()).collect()));
        } else {
            for (request, response) in &exchanges {
                steps.extend([Step::Client(request.clone()), Step::Server(response.clone())]);
            }
        }
        let whole = outcome(false, &steps, FlowEnd::Closed);
        prop_assert_eq!(whole.0.len(), exchanges.len());
        for exchange in &whole.0 {
            prop_assert!(exchange.complete() && exchange.anomalies.is_empty(), "{}", line(exchange));
        }
        prop_assert_eq!(whole.1.ledger.client.reported + whole.1.ledger.server.reported, 0);
        prop_assert_eq!(outcome(false, &split(&steps, &lengths), FlowEnd::Closed), whole);
    }

    #[test]
    fn damaged_conversations(
        exchanges in prop::collection::vec(exchange(), 1..4),
        damage in prop::collection::vec((any::<Index>(), any::<Index>(), prop::sample::select(FRAGMENTS), 0..6_usize), 1..4),
        lengths in lengths(),
        joined: bool,
        end in end(),
    ) {
        let mut steps = Vec::new();
        for (request, response) in &exchanges {
            steps.extend([Step::Client(request.clone()), Step::Server(response.clone())]);
        }
        for (which, place, fragment, removed) in damage {
            let which = which.index(steps.len());
            let (Step::Client(bytes) | Step::Server(bytes)) = &mut steps[which] else { unreachable!() };
            let place = place.index(bytes.len());
            bytes.splice(place..(place + removed).min(bytes.len()), fragment.iter().copied());
        }
        prop_assert_eq!(outcome(joined, &split(&steps, &lengths), end), outcome(joined, &steps, end));
    }

    #[test]
    fn anything(steps in prop::collection::vec(step(), 0..12), lengths in lengths(), joined: bool, end in end()) {
        prop_assert_eq!(outcome(joined, &split(&steps, &lengths), end), outcome(joined, &steps, end));
    }

    #[test]
    fn random_bytes(steps in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6), lengths in lengths(), joined: bool) {
        let steps: Vec<_> = steps.into_iter().enumerate().map(|(index, bytes)| {
            if index % 2 == 0 { Step::Client(bytes) } else { Step::Server(bytes) }
        }).collect();
        prop_assert_eq!(outcome(joined, &split(&steps, &lengths), FlowEnd::Closed), outcome(joined, &steps, FlowEnd::Closed));
    }
}
