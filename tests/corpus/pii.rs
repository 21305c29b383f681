//! Precision and recall of the search for personal data, on the labelled texts of `tests/corpus/pii`. The benchmark
//! includes this file and prints them too.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};
use interceptor::{
    inspect::pii::{Scanner, THRESHOLD},
    model::Entity,
};
use serde_json::Value;

/// How often what was labelled was found, and what was found was labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) right: usize,
    pub(crate) missed: usize,
    pub(crate) wrong: usize,
}

impl Counts {
    fn ratio(self, other: usize) -> f64 {
        let all = self.right + other;
        if all == 0 { 1.0 } else { f64::from(self.right as u32) / f64::from(all as u32) }
    }

    /// Of what was found, how much is labelled so.
    pub(crate) fn precision(self) -> f64 {
        self.ratio(self.wrong)
    }

    /// Of what is labelled, how much was found.
    pub(crate) fn recall(self) -> f64 {
        self.ratio(self.missed)
    }
}

/// Every entity's counts, those of all together, and how many texts there are. A span counts as found where entity, start
/// and end are the labelled ones, and not otherwise. With `SHOW_WRONG` in the environment what differs is printed.
pub(crate) fn measure(labelled: &Path) -> Result<(BTreeMap<String, Counts>, Counts, usize)> {
    let scanner = Scanner::new(Entity::ALL, THRESHOLD);
    let (mut each, mut total, mut texts): (BTreeMap<String, Counts>, _, _) = (BTreeMap::new(), Counts::default(), 0);
    for line in fs::read_to_string(labelled).with_context(|| labelled.display().to_string())?.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = line["text"].as_str().context("no text")?;
        let mut expected: Vec<(String, usize, usize)> = Vec::new();
        for span in line["spans"].as_array().context("no spans")? {
            let offset = |name: &str| span[name].as_u64().map(|at| at as usize).context("no offset");
            let entity = span["entity"].as_str().context("no entity")?.to_owned();
            expected.push((entity, offset("start")?, offset("end")?));
        }
        for found in scanner.scan(text.as_bytes(), "") {
            let name = scanner.name(found.kind).into_owned();
            let found = (name, found.range.start, found.range.end);
            let counts = each.entry(found.0.clone()).or_default();
            if let Some(at) = expected.iter().position(|known| *known == found) {
                expected.remove(at);
                counts.right += 1;
            } else {
                counts.wrong += 1;
                if std::env::var_os("SHOW_WRONG").is_some() {
                    eprintln!("wrong {found:?} {:?} in {text:?}", text.get(found.1..found.2));
                }
            }
        }
        for (entity, start, end) in expected {
            if std::env::var_os("SHOW_WRONG").is_some() {
                eprintln!("missed {entity} {:?} in {text:?}", text.get(start..end));
            }
            each.entry(entity).or_default().missed += 1;
        }
        texts += 1;
    }
    for counts in each.values() {
        total.right += counts.right;
        total.missed += counts.missed;
        total.wrong += counts.wrong;
    }
    Ok((each, total, texts))
}

/// The page on it.
#[cfg_attr(not(test), allow(dead_code, reason = "the benchmark prints the figures"))]
pub(crate) fn page(labelled: &Path) -> Result<String> {
    let (each, total, texts) = measure(labelled)?;
    let mut page = PAGE.replace("TEXTS", &texts.to_string());
    let mut row = |name: &str, counts: Counts| {
        writeln!(
            page,
            "| {name} | {} | {} | {} | {:.3} | {:.3} |",
            counts.right + counts.missed,
            counts.right,
            counts.wrong,
            counts.precision(),
            counts.recall()
        )
    };
    for (name, counts) in each {
        row(&name, counts)?;
    }
    row("**all**", total)?;
    Ok(page)
}

const PAGE: &str = "\
# Personal data: what is found

What the inspector `pii` finds in the TEXTS labelled texts of `tests/corpus/pii`, at its default threshold and with all
entities. They are made up, by a script and by hand, and hold what is hard: orders and versions that look like numbers of
persons, and persons' numbers in forms that no template has. A span counts as found where its entity, its first byte and its
last are the labelled ones. `UPDATE_EXPECT=1 cargo xtask test corpus::pii` writes this page; the test fails where a figure differs.

The texts were written before the recognisers, but some rules were changed after a look at what was missed, and words near the
values are those that people use for them. Expect less of texts that nobody made up: numbers with no form of their own and no
word near them are not found, and numbers of another kind next to such a word are found wrongly.

Names of persons, places and organisations take a language model and are not searched for.

What is encoded within a text is searched as it stands: the escapes of JSON are undone, in targets and forms percent-encoding
too, but not HTML's character references (`a&#64;b.com`) nor percent-encoding within JSON strings and other text. An answer
that comes in pieces is searched as what they come to where its dialect is known, and its content is not shown if something was
found in it; the text put together is shown without it. Where the dialect is not known each message is searched by itself, and
what is split over two is neither found nor taken out.

| entity | labelled | found | found wrongly | precision | recall |
|---|---|---|---|---|---|
";
