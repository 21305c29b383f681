//! What is not as it ought to be, and why. All of it is refused, but not in the words that the RFC asks for.

use anyhow::{Result, ensure};

use super::{
    Row,
    client::Wants::{self, Answer, Goaway, Pong},
    wire::PROTOCOL,
};

/// Rows that do not hold for one reason. Once one does, the test fails, so that it is taken out here.
struct Known {
    why: &'static str,
    /// What comes.
    instead: Wants,
    /// Section and requirement.
    rows: &'static [(&'static str, &'static str)],
}

/// What is known to come instead of what ought to.
pub(super) fn instead(section: &str, what: &str) -> Option<Wants> {
    let has = |known: &&Known| known.rows.contains(&(section, what));
    KNOWN.iter().find(has).map(|known| known.instead)
}

/// How many there are. Each is a row, once.
pub(super) fn all(rows: &[Row]) -> Result<usize> {
    for Known { why, rows: known, .. } in KNOWN {
        for known in *known {
            let of = rows.iter().filter(|row| (row.section, row.what) == *known).count();
            ensure!(of == 1, "{of} rows are {known:?}, of which is known that {why}");
        }
    }
    Ok(KNOWN.iter().map(|known| known.rows.len()).sum())
}

const KNOWN: &[Known] = &[
    Known {
        why: "h2 has one code for every connection error of a field block: PROTOCOL_ERROR in place of COMPRESSION_ERROR",
        instead: Goaway(&[PROTOCOL]),
        rows: &[
            ("7541 2.3.2", "what was not indexed is not"),
            ("7541 2.3.3", "a large index"),
            ("7541 2.3.3", "a name that no entry has, indexed from now on"),
            ("7541 2.3.3", "a name that no entry has, not indexed"),
            ("7541 2.3.3", "an index that no entry has"),
            ("7541 4.2", "a size behind a field"),
            ("7541 4.3", "a smaller table loses its entries"),
            ("7541 4.4", "an entry larger than the table empties it"),
            ("7541 4.4", "the oldest entry makes room"),
            ("7541 5.1", "a block that ends within a number"),
            ("7541 5.1", "a number beyond 2^64"),
            ("7541 5.1", "a number that never ends"),
            ("7541 5.2", "a block that ends before a value"),
            ("7541 5.2", "a block that ends within a name"),
            ("7541 5.2", "a block that ends within a value"),
            ("7541 5.2", "padding of eight bits"),
            ("7541 5.2", "padding of more than a byte"),
            ("7541 5.2", "padding of zeros"),
            ("7541 5.2", "the code of the end"),
            ("7541 6.1", "the index 0"),
            ("7541 6.3", "a table larger than it may be"),
            ("7541 6.3", "a table of 2^28 bytes"),
            ("9113 4.3", "a block that says nothing is the connection's error"),
            ("9113 4.3", "trailers that cannot be read"),
        ],
    },
    Known {
        why: "h2 has one code for frames that it cannot read: PROTOCOL_ERROR in place of FRAME_SIZE_ERROR and FLOW_CONTROL_ERROR",
        instead: Goaway(&[PROTOCOL]),
        rows: &[
            ("9113 5.4.1", "the last stream is told with the error"),
            ("9113 6.4", "RST_STREAM of a wrong length"),
            ("9113 6.5", "ACK with a payload"),
            ("9113 6.5", "a length that is half a setting"),
            ("9113 6.5", "a length that is not settings"),
            ("9113 6.5.2", "a window beyond 2^31-1"),
            ("9113 6.7", "PING that is too long"),
            ("9113 6.7", "PING that is too short"),
            ("9113 6.8", "GOAWAY that is too short"),
            ("9113 6.9", "WINDOW_UPDATE of a wrong length"),
        ],
    },
    Known {
        why: "h2 ends the connection where an error of the stream would do",
        instead: Goaway(&[PROTOCOL]),
        rows: &[
            ("9113 5.1", "half-closed (remote): DATA"),
            ("9113 5.1", "half-closed (remote): HEADERS"),
            ("9113 6.3", "PRIORITY of a wrong length"),
            ("9113 6.9", "nothing on a stream"),
        ],
    },
    Known {
        why: "h2 reads names and values while it decompresses: what is none is an error of the block, and so of the connection",
        instead: Goaway(&[PROTOCOL]),
        rows: &[
            ("9113 8.1", "an unknown pseudo-field in trailers"),
            ("9113 8.2.1", "CR in a value"),
            ("9113 8.2.1", "DEL in a name"),
            ("9113 8.2.1", "LF in a value"),
            ("9113 8.2.1", "a NUL in a name"),
            ("9113 8.2.1", "a NUL in a value"),
            ("9113 8.2.1", "a byte beyond ASCII alone"),
            ("9113 8.2.1", "a byte beyond ASCII in a name"),
            ("9113 8.2.1", "a colon behind a name"),
            ("9113 8.2.1", "a colon in a name"),
            ("9113 8.2.1", "a line's end in a name"),
            ("9113 8.2.1", "a line's end in a value"),
            ("9113 8.2.1", "a name in capitals"),
            ("9113 8.2.1", "a name in capitals in trailers"),
            ("9113 8.2.1", "a name with one capital"),
            ("9113 8.2.1", "a space behind a name"),
            ("9113 8.2.1", "a space in a name"),
            ("9113 8.2.1", "a tab in a name"),
            ("9113 8.2.1", "an empty name"),
            ("9113 8.3", "a pseudo-field in capitals"),
            ("9113 8.3", "an empty pseudo-field's name"),
            ("9113 8.3", "an unknown pseudo-field"),
            ("9113 8.3.1", "a :method that is no token"),
            ("9113 8.3.1", "an empty :method"),
        ],
    },
    Known {
        why: "h2 does not insist on SETTINGS as the first frame",
        instead: Answer(1, 200),
        rows: &[("9113 3.4", "HEADERS before SETTINGS")],
    },
    Known {
        why: "h2 does not insist on SETTINGS as the first frame",
        instead: Pong([0; 8]),
        rows: &[("9113 3.4", "PING before SETTINGS")],
    },
];
