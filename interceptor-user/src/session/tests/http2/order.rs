//! What is asked before it can be known, and what comes after its stream is over.

use super::{contents::field, *};

#[test]
fn what_was_asked_before_an_upgrade_is_told() {
    let upgrade = "GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let (exchanges, _) = run(&[
        client([upgrade, GET].concat()),
        server([switch.as_bytes(), &frame(SETTINGS, 0, 0, []), &response(1, b"upgraded")].concat()),
    ]);
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        ["GET /up 0 > 200 8 []", "GET / 0 > - [truncated no_response]",]
    );
}

#[test]
fn settings_that_come_with_an_upgrade_are_in_force() {
    // SETTINGS_HEADER_TABLE_SIZE of 8192, which the server uses in its first head.
    let upgrade = "GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAACAA\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    let grown = frame(HEADERS, WHOLE | END, 1, b"\x3f\xe1\x3f\x88");
    check(
        "a larger table",
        &[client(upgrade), server([switch.as_bytes(), &frame(SETTINGS, 0, 0, []), &grown].concat())],
        &["GET /up 0 > 200 0 []"],
    );
}

#[test]
fn what_is_over_does_not_come_back() {
    // A client cancels, and content is still on its way; on a connection that was joined nothing is sure but this.
    let mut steps = vec![client([request(99), frame(PING, 0, 0, [0; 8])].concat()), server(response(99, b"ok"))];
    for stream in (101..141).step_by(2) {
        steps.push(client([request(stream), frame(RST_STREAM, 0, stream, [0, 0, 0, 8])].concat()));
        steps.push(server([frame(HEADERS, WHOLE, stream, OK_200), frame(DATA, END, stream, "late")].concat()));
    }
    let (exchanges, _) = run_with(&LIMITS, true, &steps, FlowEnd::Closed);
    assert_eq!(exchanges.len(), 21);
    assert!(exchanges.iter().all(|exchange| exchange.request.is_some()));
}

#[test]
fn a_first_exchange_is_not_torn_by_which_side_is_found_first() {
    let (exchanges, _) =
        run_with(&LIMITS, true, &[client(request(7)), server(response(7, b"found first"))], FlowEnd::CaptureEnded);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 0 > 200 11 []"]);
    let times = |part: &Option<crate::model::Part>| part.as_ref().unwrap().first_byte.as_nanos();
    assert_eq!((times(&exchanges[0].request), times(&exchanges[0].response)), (1, 2));
}

#[test]
fn frames_have_the_time_of_their_own_bytes() {
    let noise = Step::Client(vec![b'x'; 100]);
    let (exchanges, _) = run_with(
        &LIMITS,
        true,
        &[noise.clone(), noise.clone(), noise, client([request(7), frame(PING, 0, 0, [0; 8])].concat())],
        FlowEnd::CaptureEnded,
    );
    assert_eq!(exchanges[0].request.as_ref().unwrap().first_byte.as_nanos(), 4);
}

#[test]
fn trailers_come_once() {
    let trailers = frame(HEADERS, WHOLE, 1, field("a", "b"));
    let (exchanges, _) = run(&[
        preface(&[request(1)]),
        settings(),
        server([frame(HEADERS, WHOLE, 1, OK_200), trailers.repeat(2), frame(DATA, END, 1, "")].concat()),
    ]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 0 > 200 0 [bad_head]"]);
}

#[test]
fn settings_that_were_missed_are_not_believed() {
    // The server's larger table is in the gap; the client uses it.
    let grown = [b"\x3f\xe1\xff\x03", POST_A].concat();
    let (exchanges, _) = run(&[
        preface(&[request(1)]),
        settings(),
        server(response(1, b"")),
        Step::ServerGap(15),
        client([frame(SETTINGS, ACK, 0, []), frame(HEADERS, WHOLE | END, 3, grown)].concat()),
        server([frame(PING, 0, 0, [0; 8]), response(3, b"")].concat()),
    ]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 0 > 200 0 []"; 2]);
}

#[test]
fn what_began_before_a_join_is_shown_though_others_go_on() {
    // Stream 51 still sends and stream 53 is still answered; the heads of both came before we did.
    let pieces =
        |stream| [frame(DATA, 0, stream, "xx"), frame(DATA, 0, stream, "yy"), frame(PING, 0, 0, [0; 8])].concat();
    let (exchanges, _) = run_with(&LIMITS, true, &[client(pieces(51)), server(pieces(53))], FlowEnd::CaptureEnded);
    assert_eq!(exchanges.iter().map(|exchange| exchange.stream).collect::<Vec<_>>(), [Some(51), Some(53)]);
}
