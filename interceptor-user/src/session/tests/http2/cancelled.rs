//! What a server still sends on a stream that its client has reset.

use super::{contents::field, *};
use crate::model::Abort;

const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn cancelled() -> Vec<Step> {
    let head = frame(HEADERS, WHOLE, 1, [OK_200, &field("content-type", "text/event-stream")].concat());
    vec![
        preface(&[request(1), request(3)]),
        settings(),
        server([head, frame(DATA, 0, 1, "data: 1\n\n"), frame(HEADERS, WHOLE, 3, OK_200)].concat()),
        client(frame(RST_STREAM, 0, 1, CANCEL)),
        server([frame(DATA, 0, 1, "data: 22\n\ndata: 3"), frame(DATA, 0, 3, "other")].concat()),
    ]
}

/// Its stream, what was sent for nobody, and the rest.
type Told = (u32, Option<(u64, u64)>, String);

fn told(steps: &[Step], end: FlowEnd) -> Vec<Told> {
    let (exchanges, _) = run_with(&LIMITS, false, steps, end);
    let told = |exchange: &Exchange| (exchange.stream.unwrap(), exchange.wasted(), line(exchange));
    exchanges.iter().map(told).collect()
}

const FIRST: &str = "POST /a 0 > 200 26 cut [stream_reset]";

#[test]
fn what_comes_until_the_server_ends_it_too_is_sent_for_nobody() {
    let ends = [
        frame(DATA, END, 1, "333\n\n"),
        [frame(DATA, 0, 1, "333\n\n"), frame(RST_STREAM, 0, 1, [0; 4])].concat(),
        [frame(DATA, 0, 1, "333\n\n"), frame(HEADERS, WHOLE | END, 1, field("grpc-status", "0"))].concat(),
    ];
    for last in ends {
        let steps = [cancelled(), vec![server(last), client(frame(RST_STREAM, 0, 1, [0; 4]))]].concat();
        let told = told(&steps, FlowEnd::Closed);
        assert_eq!(told[0], (1, Some((22, 2)), "POST /a 0 > 200 31 cut [stream_reset]".to_owned()));
        assert_eq!(told[1], (3, None, "POST /a 0 > 200 5 cut []".to_owned()));
        let (exchanges, _) = run(&steps);
        assert_eq!(exchanges[0].abort, Some(Abort { by: Role::Request, code: 8 }));
        assert!(exchanges[0].response.as_ref().unwrap().trailers.is_empty(), "the call was over before");
    }
}

#[test]
fn nothing_is_waited_for_longer_than_a_second() {
    let wait = |millis| Step::Wait(Duration::from_millis(millis));
    let ping = server(frame(PING, 0, 0, [0; 8]));
    let late = || server(frame(DATA, 0, 1, "late"));
    let other = server(frame(DATA, END, 3, "!"));
    let over = |size, wasted| {
        vec![
            (1, Some((wasted, 2)), format!("POST /a 0 > 200 {size} cut [stream_reset]")),
            (3, None, "POST /a 0 > 200 6 []".to_owned()),
        ]
    };
    // Time that passes is enough, and so is that something comes on another stream.
    let steps = |more: &[Step]| [cancelled(), more.to_vec(), vec![other.clone()]].concat();
    assert_eq!(told(&steps(&[wait(999), late()]), FlowEnd::Closed), {
        let mut both = over(30, 21);
        both.reverse();
        both
    });
    for more in [&[wait(1001), late()][..], &[wait(999), ping, wait(1), late()]] {
        assert_eq!(told(&steps(more), FlowEnd::Closed), over(26, 17), "{more:?}");
    }
}

#[test]
fn a_reset_ends_an_exchange_whatever_becomes_of_the_connection() {
    for end in [FlowEnd::CaptureEnded, FlowEnd::Idle, FlowEnd::Closed] {
        assert_eq!(told(&cancelled(), end)[0], (1, Some((17, 2)), FIRST.to_owned()), "{end:?}");
    }
    let go_away = server(frame(GOAWAY, 0, 0, [0; 8]));
    let (exchanges, _) = run(&[cancelled(), vec![go_away]].concat());
    let abort = Some(Abort { by: Role::Request, code: 8 });
    assert_eq!((line(&exchanges[0]), exchanges[0].abort), (FIRST.to_owned(), abort));
    // What its client says after that is not of it.
    let more = client([frame(DATA, END, 1, "more"), frame(HEADERS, WHOLE | END, 1, field("a", "b"))].concat());
    assert_eq!(told(&[cancelled(), vec![more]].concat(), FlowEnd::Closed)[0].2, FIRST);
}

#[test]
fn a_client_that_closes_the_connection_is_gone_too() {
    let mut steps = cancelled();
    steps[3] = Step::ClientFin;
    let told = told(&steps, FlowEnd::Reset);
    assert_eq!(told[0], (1, Some((17, 2)), "POST /a 0 > 200 26 cut [reset]".to_owned()));
}

#[test]
fn any_split_wastes_as_much() {
    let whole = told(&cancelled(), FlowEnd::Closed);
    for size in 1..40 {
        let split = |step: &Step| match step {
            Step::Client(bytes) => bytes.chunks(size).map(client).collect(),
            Step::Server(bytes) => bytes.chunks(size).map(server).collect(),
            other => vec![other.clone()],
        };
        let steps: Vec<Step> = cancelled().iter().flat_map(split).collect();
        assert_eq!(told(&steps, FlowEnd::Closed), whole, "in pieces of {size}");
    }
}

#[test]
fn few_are_waited_for() {
    let flow = flow(false);
    let (mut session, mut count) = (Session::default(), 0);
    session.event(&flow, FlowEvent::Opened { late: false }, &LIMITS, &mut |_| {});
    let mut chunk = |session: &mut Session, side, bytes: &[u8]| {
        let chunk = FlowEvent::Chunk { side, time: Timestamp::from_nanos(1), next: 0, chunk: Chunk::Data(bytes) };
        session.event(&flow, chunk, &Limits { streams: 1000, ..LIMITS }, &mut |_| count += 1);
    };
    let Step::Client(first) = preface(&[]) else { unreachable!() };
    chunk(&mut session, Side::Client, &first);
    chunk(&mut session, Side::Server, &frame(SETTINGS, 0, 0, []));
    for stream in (1..2001).step_by(2) {
        chunk(&mut session, Side::Client, &request(stream));
        chunk(&mut session, Side::Server, &frame(HEADERS, WHOLE, stream, OK_200));
        chunk(&mut session, Side::Client, &frame(RST_STREAM, 0, stream, CANCEL));
        assert!(session.open() <= 64 && session.waits());
    }
    assert_eq!(count, 1000 - 64);
}
