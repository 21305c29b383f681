//! Another policy while the kernel leaves things out by the old one.

use super::*;
use crate::inspect::{Policies, testing::plan};

const ANSWER: usize = 200_000;

/// So many requests and answers with contents, over one connection, in pieces.
fn talk(conversation: Conversation, count: usize) -> Conversation {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n{}", "x".repeat(ANSWER));
    (0..count).fold(conversation, |conversation, _| conversation.client(GET).server(&answer))
}

#[test]
fn what_is_left_out_by_the_old_policy_is_captured_again_where_the_new_one_may_want_it() {
    let wants_nothing = "    - { name: a }\n";
    for (rules, expected) in [
        ("    - { name: b, extract: [{ name: v, jsonPath: $.v }] }\n", vec![(Side::Server, Leave::Nothing)]),
        ("    - { name: b, sample: { rate: 0.5 } }\n", vec![]),
    ] {
        let policies = Arc::new(Policies::new(plan(wants_nothing)));
        let inspect = inspect::Options { policies: Some(Arc::clone(&policies)), ..inspect::Options::default() };
        let told: Arc<std::sync::Mutex<Vec<(Side, Leave)>>> = Arc::default();
        let telling = Arc::clone(&told);
        let skip = move |_: &FlowInfo, side: Side, leave: Leave| telling.lock().unwrap().push((side, leave));
        let mut pipeline = Pipeline::new(Options { inspect, ..Options::default() }, Nowhere).with_skip(Box::new(skip));
        let mut conversation = talk(Conversation::http().open(), 10);
        let stop = AtomicBool::new(false);
        pipeline.run(&mut MemorySource::new(conversation.take()), &stop).expect("nothing can fail");
        let last = told.lock().unwrap().drain(..).next_back();
        assert!(matches!(last, Some((Side::Server, Leave::Turns(_)))), "turns are cut: {last:?}");
        policies.replace(plan(rules));
        // Before another byte of this connection is seen.
        pipeline.run(&mut MemorySource::new(Vec::<OwnedSegment>::new()), &stop).expect("nothing can fail");
        pipeline.tick(Timestamp::default());
        assert_eq!(*told.lock().unwrap(), expected);
    }
}
