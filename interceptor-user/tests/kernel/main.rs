//! The kernel programs on real traffic: what applications write is what comes out of the ring, or is accounted for.
//!
//! Needs root. Without it each test is reported as ignored, with the reason; with `REQUIRE_ROOT=1` it fails.

mod attaching;
mod bed;
mod capturing;
mod carrying;
mod collect;
mod counting;
mod enforcing_http2;
mod filtering;
mod following;
mod frames;
mod holding;
mod http1_ends;
mod http2_ends;
mod inbound;
mod killed;
mod large;
mod leaving;
mod matrix;
mod original;
mod outliving;
mod pinning;
mod privilege;
mod program;
mod refusing;
mod stalled;
mod steering;
mod turns;
mod upstream;
mod upstream_faults;

use std::{path::Path, process::ExitCode};

use interceptor::kernel::{Capture, CaptureOptions};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    if let Some(arguments) = std::env::var_os(killed::CHILD) {
        return killed::child(&arguments.to_string_lossy());
    }
    if let Some(port) = std::env::var_os(outliving::CHILD) {
        return outliving::child(&port.to_string_lossy());
    }
    if let Some(directory) = std::env::var_os(privilege::SANDBOXED) {
        return privilege::child(Path::new(&directory));
    }
    let mut arguments = Arguments::from_args();
    // They look at system-wide state (`lo`, programs, our own cgroup).
    arguments.test_threads.get_or_insert(1);
    let missing = missing();
    let required = std::env::var_os("REQUIRE_ROOT").is_some_and(|value| value == "1");
    if let Some(missing) = &missing {
        eprintln!("skipped: {missing}");
    }
    let groups = [
        matrix::tests(),
        capturing::tests(),
        filtering::tests(),
        turns::tests(),
        counting::tests(),
        attaching::tests(),
        following::tests(),
        leaving::tests(),
        killed::tests(),
        frames::tests(),
        large::tests(),
        refusing::tests(),
        privilege::tests(),
        stalled::tests(),
        steering::tests(),
        original::tests(),
        inbound::tests(),
        outliving::tests(),
        pinning::tests(),
        carrying::tests(),
        enforcing_http2::tests(),
        holding::tests(),
        upstream::tests(),
        upstream_faults::tests(),
    ];
    let trials = groups
        .into_iter()
        .flatten()
        .map(|(name, test)| {
            let failure = missing.clone().filter(|_| required);
            let trial = Trial::ignorable_test(name, move || match failure {
                Some(missing) => Err(Failed::from(missing)),
                None => run(name, test),
            });
            trial.with_ignored_flag(missing.is_some() && !required)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test and its name.
type Test = (&'static str, fn() -> anyhow::Result<()>);

fn run(name: &str, test: fn() -> anyhow::Result<()>) -> Result<Completion, Failed> {
    if SLOW.contains(&name) && std::env::var_os("INTERCEPTOR_EMULATED").is_some() {
        return Ok(Completion::ignored_with("takes too long in an emulated machine"));
    }
    match test() {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref::<NotHere>() {
            Some(NotHere(why)) => Ok(Completion::ignored_with(why)),
            None => Err(Failed::from(format!("{error:#}"))),
        },
    }
}

/// These load the programs many times, depend on speed, or ask nothing of the kernel that others do not: an emulated processor
/// needs seconds for each load.
const SLOW: &[&str] = &[
    "an_answer_never_comes_before_its_question_whatever_cpus_they_run_on",
    "networks_are_filtered",
    "the_reader_keeps_up_and_is_measured",
    "the_time_of_a_reader_that_does_not_read_is_told",
    "sockets_are_not_reported_while_programs_are_still_being_attached",
    "filters_of_a_killed_run_are_removed_and_those_of_a_living_one_stay",
    "what_a_killed_run_left_goes_at_the_next_start_of_any_kind",
    "the_last_of_several_takes_the_qdisc_away",
    "a_qdisc_of_somebody_else_stays",
    "starts_and_ends_on_one_interface_do_not_disturb_each_other",
    "every_kind_of_frame_out_of_an_ethernet_link",
    "every_kind_of_frame_into_an_ethernet_link",
    "two_hundred_pods_leave_nothing_behind",
    "the_living_stay_where_they_cannot_be_seen",
    "an_interface_that_was_named_is_taken_up_again",
    "the_end_of_the_terminal_is_an_end_in_order",
    "directions_are_filtered",
    "a_sample_takes_flows_whole_or_not_at_all",
    "what_a_killed_run_left_goes_though_the_program_gives_up_rights",
    "the_doctor_shows_the_log_of_a_refusal",
    "what_finds_no_room_in_the_ring_is_counted_to_the_byte",
    "records_that_run_over_the_end_of_the_ring_are_whole",
    "errors_say_what_to_do",
    "a_start_that_fails_ends_the_captures_that_run",
    "a_lock_that_somebody_holds_on_a_namespace_stops_nothing",
    "as_many_descriptors_are_used_as_there_may_be",
    "pods_that_cannot_be_found_are_warned_of",
    "namespaces_are_followed_wherever_their_names_are",
    "large_contents_are_carried_whole_both_ways_at_once",
    "connections_to_a_server_are_shared_by_clients",
    "connections_that_are_not_used_are_closed_and_no_more_are_kept_than_may_be",
    "a_connection_that_a_client_is_logged_in_on_is_its_own",
    "http2_connections_to_a_server_are_shared_by_clients",
    "http2_streams_beyond_a_connections_limit_get_another_one",
    "requests_beyond_a_limit_are_refused",
    "what_a_rule_asks_of_a_content_is_known_before_a_server_gets_it",
    "a_content_that_is_larger_than_a_rule_takes_is_refused",
    "what_is_held_of_all_requests_has_a_limit",
    "what_no_rule_asks_for_is_not_held",
    "http2_contents_are_held_as_rules_ask_for_them",
    "a_client_that_asks_for_nothing_is_closed",
    "at_the_end_no_request_of_http1_fails",
    "at_the_end_no_request_of_http2_fails",
    "a_server_that_closes_connections_between_requests_is_not_noticed",
    "what_may_have_been_done_is_not_asked_for_twice",
    "a_backend_that_cannot_be_reached_at_one_address_is_asked_at_another",
    "retries_stay_within_their_budget",
    "what_is_configured_is_tried_again_until_it_is_answered",
    "an_address_that_fails_is_left_alone_and_comes_back",
    "an_address_that_fails_its_checks_gets_no_requests",
    "an_answer_that_does_not_begin_in_time_is_a_gateway_timeout",
    "an_answer_that_stands_still_is_cut",
    "a_backend_that_takes_no_connections_is_a_gateway_timeout",
    "http2_what_a_server_has_not_looked_at_is_asked_again",
];

/// This kernel cannot do what a test is about. The test is reported as ignored, with what it takes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotHere(&'static str);

/// What keeps these tests from running here.
fn missing() -> Option<String> {
    let options =
        CaptureOptions { interfaces: vec!["lo".to_owned()], ring_bytes: 64 << 10, ..CaptureOptions::default() };
    Capture::start(&options).err().map(|error| format!("{error:#}"))
}
