//! No file names a place that only one machine has.

use super::Violation;

/// Beginnings of such places; written apart, so that this file has none.
const PLACES: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "wt/"),
];

pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let place = place(line)?;
            Some(Violation::new(
                path,
                index + 1,
                format!("`{place}…`"),
                "a path of one machine means nothing on another, and may tell a name",
                "make it relative, or take it from an argument or the environment",
            ))
        })
        .collect()
}

/// A place at the beginning of a path; `https://host/…` and `target/…` go on from something.
fn place(line: &str) -> Option<&'static str> {
    PLACES.into_iter().find(|place| {
        line.match_indices(place).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !(c.is_alphanumeric() || "./_-~}$*:".contains(c)))
                && line[at + place.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_machine_are_found() {
        for place in PLACES {
            let text = format!("first\nsee {place}someone/file for more\n");
            assert_eq!(check("README.md", &text)[0].line, 2, "{place}");
            assert!(check("README.md", &format!("https://example.org{place}page")).is_empty());
            assert!(check("README.md", &format!("a user's {place} directory")).is_empty());
        }
    }
}
