//! What is not as it ought to be, and why.

use anyhow::{Result, ensure};

use super::{Row, Wants, arrives};

/// A row that does not hold. Once it does, the test fails, so that it is taken out here.
struct Known {
    section: &'static str,
    what: &'static str,
    why: &'static str,
    /// What comes.
    instead: fn() -> Wants,
}

/// What is known to come instead of what ought to.
pub(super) fn instead(section: &str, what: &str) -> Option<Wants> {
    KNOWN.iter().find(|known| (known.section, known.what) == (section, what)).map(|known| (known.instead)())
}

/// How many there are. Each is a row, once.
pub(super) fn all(rows: &[Row]) -> Result<usize> {
    for Known { section, what, why, .. } in KNOWN {
        let of = rows.iter().filter(|row| (row.section, row.what) == (*section, *what)).count();
        ensure!(of == 1, "{of} rows are {section}, {what}, of which is known that {why}");
    }
    Ok(KNOWN.len())
}

const NO_INTERIM: &str = "hyper's server sends no interim answer but 100, and that by itself";
const UNSEEN: &str = "the inline path is not to be seen: neither side has chosen it as a proxy";

/// What comes where what was before it is left out.
fn answer_alone() -> Wants {
    Wants::Hears("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nhi".to_owned())
}

const KNOWN: &[Known] = &[
    Known { section: "9110 15.2", what: "103", why: NO_INTERIM, instead: answer_alone },
    Known { section: "9110 15.2", what: "102", why: NO_INTERIM, instead: answer_alone },
    Known { section: "9110 15.2", what: "two of them", why: NO_INTERIM, instead: answer_alone },
    Known { section: "9110 15.2", what: "100 that nobody waits for", why: NO_INTERIM, instead: answer_alone },
    Known {
        section: "9110 15.4.5",
        what: "304 with a length",
        why: "hyper's server leaves out the length of what is not sent",
        instead: || Wants::Hears("HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_owned()),
    },
    Known {
        section: "9110 15.5.15",
        what: "a target of 70 KB",
        why: "hyper looks at the size of the whole head first",
        instead: || Wants::Refused(431),
    },
    Known {
        section: "9110 7.6.2",
        what: "Max-Forwards of nothing: whom it reaches answers",
        why: UNSEEN,
        instead: || Wants::Arrives("TRACE /a HTTP/1.1\r\nHost: model\r\nMax-Forwards: 0\r\n\r\n".to_owned()),
    },
    Known { section: "9110 7.6.3", what: "Via", why: UNSEEN, instead: || arrives("/a", "") },
    Known {
        section: "9112 3.2",
        what: "a byte beyond ASCII",
        why: "applications send it as it is, and all read it alike",
        instead: || arrives("/\u{c3}\u{bc}", ""),
    },
];
