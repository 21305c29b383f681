use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::{
    model::{Container, Peer, Pod, Protocol},
    sink::sample,
};

const WAIT: Duration = Duration::from_secs(5);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Who is at an end.
enum End {
    /// Somewhere else.
    Away,
    /// A pod here.
    Pod(&'static str),
    /// A cgroup here.
    Cgroup(u64),
}

fn peer(address: &str, end: &End) -> Peer {
    let peer = Peer::new(address.parse::<SocketAddr>().unwrap().into());
    match end {
        End::Away => peer,
        End::Cgroup(id) => Peer { cgroup: Some(*id), ..peer },
        End::Pod(uid) => {
            let pod = Pod { uid: (*uid).into(), qos: None };
            let container = Container { id: format!("{uid}-app").into(), namespace: None, pod: Some(pod) };
            Peer { cookie: Some(1), container: Some(Arc::new(container)), ..peer }
        }
    }
}

/// The first exchange of a flow, from and to these milliseconds.
fn exchange(flow: u64, client: &End, server: &End, traceparent: &str, times: (u64, u64)) -> Exchange {
    let mut info = sample::flow("10.0.0.1:1000", "10.0.0.2:80");
    info.client = peer(&format!("10.0.0.1:{}", 1000 + flow), client);
    info.server = peer("10.0.0.2:80", server);
    info.id = flow;
    let mut request = sample::request("GET", "/", &[("traceparent", traceparent)], b"");
    let mut response = sample::response(200, &[], b"");
    (request.first_byte, request.last_byte) = (sample::at(times.0 * 1_000_000), sample::at(times.0 * 1_000_000));
    (response.first_byte, response.last_byte) = (sample::at(times.1 * 1_000_000), sample::at(times.1 * 1_000_000));
    Exchange { request: Some(request), response: Some(response), ..Exchange::new(Arc::new(info), 1, Protocol::Http1) }
}

/// Parents, and the line.
struct Bed {
    parents: Parents,
    line: VecDeque<Waiting>,
    now: Instant,
}

impl Bed {
    fn new(limits: Limits) -> Self {
        Self { parents: Parents::new(WAIT, limits), line: VecDeque::new(), now: Instant::now() }
    }

    /// How many are in the line after these came.
    fn come(&mut self, exchanges: &[&Exchange]) -> usize {
        let wait = |exchange: &&Exchange| Waiting {
            record: Arc::new(Record::Exchange(Box::new((*exchange).clone()))),
            bytes: 100,
        };
        let came = exchanges.iter().map(wait).collect();
        self.parents.line_up(came, &mut self.line, self.now, false);
        self.line.len()
    }

    fn found(&self, exchange: &Exchange) -> Option<SpanId> {
        self.parents.found(exchange)
    }
}

fn span(exchange: &Exchange, side: Side) -> Option<SpanId> {
    Trace::of(exchange).map(|trace| trace.span(side))
}

#[test]
fn a_request_made_while_one_is_served_belongs_to_that() {
    let a = End::Pod("a");
    let served = exchange(1, &End::Away, &a, PARENT, (0, 100));
    let asked = exchange(2, &a, &End::Away, PARENT, (10, 90));
    for order in [[&asked, &served], [&served, &asked]] {
        let mut bed = Bed::new(Limits::default());
        bed.come(&order[..1]);
        assert_eq!(bed.come(&order[1..]), 2, "both are passed on at once");
        assert_eq!(bed.found(&asked), span(&served, Side::Server));
        assert_eq!(bed.found(&served), None);
    }
}

#[test]
fn what_does_not_belong_to_it_waits_and_keeps_the_parent_on_the_wire() {
    let a = End::Pod("a");
    let served = exchange(1, &End::Away, &a, PARENT, (10, 100));
    let others = [
        exchange(2, &End::Pod("b"), &End::Away, PARENT, (20, 90)),
        exchange(3, &a, &End::Away, PARENT, (5, 90)),
        exchange(4, &a, &End::Away, PARENT, (101, 190)),
        exchange(5, &a, &End::Away, &PARENT.replace("b7ad", "b7ae"), (20, 90)),
        exchange(6, &a, &End::Away, &PARENT.replace("0af7", "0af8"), (20, 90)),
    ];
    let all: Vec<_> = others.iter().collect();
    for order in [0, 1] {
        let mut bed = Bed::new(Limits::default());
        if order == 0 {
            bed.come(&all);
        }
        bed.come(&[&served]);
        if order == 1 {
            bed.come(&all);
        }
        assert_eq!(bed.line.len(), 1, "the others wait");
        bed.now += WAIT.saturating_sub(Duration::from_millis(1));
        assert_eq!(bed.come(&[]), 1);
        bed.now += Duration::from_millis(1);
        assert_eq!(bed.come(&[]), 6);
        assert!(others.iter().all(|other| bed.found(other).is_none()));
        assert_eq!((bed.parents.kept_bytes, bed.parents.by_key.len(), bed.parents.served.len()), (0, 0, 0));
    }
}

#[test]
fn who_has_no_parent_on_the_wire_or_only_serves_waits_for_nothing() {
    let a = End::Pod("a");
    let mut bed = Bed::new(Limits::default());
    let without = exchange(1, &a, &End::Away, "", (0, 1));
    let server = exchange(2, &End::Away, &a, PARENT, (0, 1));
    assert_eq!(bed.come(&[&without, &server]), 2);
}

#[test]
fn among_those_that_were_served_the_one_that_began_last_is_the_parent() {
    let a = End::Pod("a");
    let outer = exchange(1, &End::Away, &a, PARENT, (0, 100));
    let inner = exchange(2, &End::Away, &a, PARENT, (20, 80));
    let asked = exchange(3, &a, &End::Away, PARENT, (30, 70));
    let mut bed = Bed::new(Limits::default());
    bed.come(&[&inner, &outer, &asked]);
    assert_eq!(bed.found(&asked), span(&inner, Side::Server));
}

#[test]
fn in_one_cgroup_for_all_no_span_is_above_itself() {
    let here = || End::Cgroup(7);
    let first = exchange(1, &here(), &here(), PARENT, (0, 100));
    let second = exchange(2, &here(), &here(), PARENT, (10, 90));
    for order in [[&first, &second], [&second, &first]] {
        let mut bed = Bed::new(Limits::default());
        bed.come(&order);
        assert_eq!(bed.found(&second), span(&first, Side::Server));
        assert_eq!(bed.found(&first), None, "who asked first hangs on what the wire says");
    }
}

#[test]
fn what_waits_is_bounded_and_the_oldest_goes_first() {
    let a = End::Pod("a");
    let asked: Vec<_> = (0..10).map(|flow| exchange(flow, &a, &End::Away, PARENT, (10, 20))).collect();
    let all: Vec<_> = asked.iter().collect();
    let few = Limits { queue_records: 8, ..Limits::default() };
    let small = Limits { queue_bytes: 850, ..Limits::default() };
    for limits in [few, small] {
        let mut bed = Bed::new(limits);
        assert_eq!(bed.come(&all), 6);
        let gone: Vec<_> = bed.line.iter().map(|waiting| waiting.record.as_ref()).collect();
        assert!(matches!(gone.first(), Some(Record::Exchange(first)) if first.flow.id == 0));
        bed.parents.line_up(Vec::new(), &mut bed.line, bed.now, true);
        assert_eq!(bed.line.len(), 10, "at the end nothing is kept back");
    }
}

#[test]
fn of_one_place_with_one_parent_only_a_few_are_kept_back() {
    let a = End::Pod("a");
    let asked: Vec<_> = (0..100).map(|flow| exchange(flow, &a, &End::Away, PARENT, (10, 20))).collect();
    let mut bed = Bed::new(Limits::default());
    assert_eq!(bed.come(&asked.iter().collect::<Vec<_>>()), 100 - ASKING_MAX);
    assert_eq!(bed.come(&[&exchange(100, &End::Away, &a, PARENT, (0, 30))]), 101, "the rest find their parent");
}

#[test]
fn what_is_remembered_is_bounded() {
    let a = End::Pod("a");
    let mut bed = Bed::new(Limits { queue_records: 100, ..Limits::default() });
    let same: Vec<_> = (0..300).map(|flow| exchange(flow, &End::Away, &a, PARENT, (10, 20))).collect();
    bed.come(&same.iter().collect::<Vec<_>>());
    assert!(bed.parents.forget.len() <= 100);
    assert!(bed.parents.served.values().all(|served| served.len() <= SERVED_MAX));
    bed.line.clear();
    bed.now += WAIT;
    bed.come(&[]);
    assert_eq!((bed.parents.forget.len(), bed.parents.served.len(), bed.parents.found.len()), (0, 0, 0));
}
