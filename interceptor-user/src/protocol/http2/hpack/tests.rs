use std::{collections::HashMap, fs::File, io::Read as _, path::Path};

use serde_json::Value;

use super::*;

type Fields = Vec<(String, String)>;

struct Case {
    wire: Vec<u8>,
    fields: Fields,
    /// SETTINGS_HEADER_TABLE_SIZE from here on.
    table_size: Option<usize>,
}

/// Every story of every encoder in `tests/corpus/hpack`.
fn stories() -> Vec<(String, Vec<Case>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/hpack/stories.tar.zst");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(ruzstd::decoding::StreamingDecoder::new(file).unwrap());
    let mut stories = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if !name.contains("story_") || name.contains("raw-data") {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let story: Value = serde_json::from_str(&text).unwrap();
        stories.push((name, story["cases"].as_array().unwrap().iter().map(Case::of).collect()));
    }
    stories
}

impl Case {
    fn of(case: &Value) -> Self {
        let wire = case["wire"].as_str().unwrap().as_bytes().chunks(2);
        let fields = case["headers"].as_array().unwrap().iter().flat_map(|field| field.as_object().unwrap());
        Self {
            wire: wire.map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap()).collect(),
            fields: fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            table_size: case.get("header_table_size").map(|size| size.as_u64().unwrap() as usize),
        }
    }
}

fn decode(decoder: &mut Decoder, wire: &[u8]) -> Result<Fields, Error> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    decoder.decode(wire, &mut |field| {
        assert_eq!(field.known, !field.name.starts_with(b"?"));
        fields.push((text(field.name), text(field.value)));
    })?;
    Ok(fields)
}

#[test]
fn every_story_of_every_encoder() {
    let stories = stories();
    let mut cases = 0;
    for (name, story) in &stories {
        let mut decoder = Decoder::new();
        for (number, case) in story.iter().enumerate() {
            if let Some(size) = case.table_size {
                decoder.allow(size);
            }
            assert_eq!(decode(&mut decoder, &case.wire).as_ref(), Ok(&case.fields), "{name}, case {number}");
            assert!(decoder.is_exact());
            cases += 1;
        }
    }
    assert!(stories.len() > 300 && cases > 30_000, "{} stories, {cases} cases", stories.len());
}

/// What is known after joining at each block is the truth, and one placeholder is one field throughout.
#[test]
fn every_story_joined_at_each_later_block() {
    let stories = stories();
    // It is the square of the blocks.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (known, unknown) = std::thread::scope(|scope| {
        let work = |first| stories.iter().skip(first).step_by(workers).map(joined).collect::<Vec<_>>();
        let threads: Vec<_> = (0..workers).map(|first| scope.spawn(move || work(first))).collect();
        let counts = threads.into_iter().flat_map(|thread| thread.join().expect("what is known is the truth"));
        counts.fold((0, 0), |all, counts| (all.0 + counts.0, all.1 + counts.1))
    });
    assert!(known > 10 * unknown && unknown > 0, "{known} known, {unknown} not");
}

/// Joins one story at each of its blocks; counts the fields that are known then, and those that are not.
fn joined((name, story): &(String, Vec<Case>)) -> (u64, u64) {
    let (mut known, mut unknown) = (0, 0);
    for join in 1..story.len() {
        let mut decoder = Decoder::joined();
        // What a placeholder stands for. Of some entries only the name is unknown.
        let mut placeholders: HashMap<Vec<u8>, &str> = HashMap::new();
        for (number, case) in story.iter().enumerate().skip(join) {
            let mut truths = case.fields.iter();
            let decoded = decoder.decode(&case.wire, &mut |field| {
                let (true_name, true_value) = truths.next().expect("no more fields than were sent");
                let value_fits = field.value == true_value.as_bytes();
                if field.known {
                    assert!(field.name == true_name.as_bytes() && value_fits, "{name}, {number} joined at {join}");
                    known += 1;
                    return;
                }
                unknown += 1;
                assert!(value_fits || field.value == b"?", "{name}, {number} joined at {join}");
                let stands_for = placeholders.entry(field.name.to_vec()).or_insert(true_name);
                assert_eq!(stands_for, true_name, "{name}, {number} joined at {join}");
            });
            assert_eq!(decoded, Ok(()), "{name}, {number} joined at {join}");
            assert_eq!(truths.len(), 0, "{name}, {number} joined at {join}");
        }
    }
    (known, unknown)
}

#[test]
fn examples_of_the_specification() {
    // RFC 7541 sections C.2.1 to C.2.4.
    for (wire, name, value, indexed) in [
        (&b"\x40\x0acustom-key\x0dcustom-header"[..], "custom-key", "custom-header", true),
        (b"\x04\x0c/sample/path", ":path", "/sample/path", false),
        (b"\x10\x08password\x06secret", "password", "secret", false),
        (b"\x82", ":method", "GET", false),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, wire), Ok(vec![(name.to_owned(), value.to_owned())]));
        assert_eq!(decode(&mut decoder, b"\xbe").is_ok(), indexed);
    }
    assert_eq!(integer(0x0a, 5, &mut &b""[..]), Ok(10));
    assert_eq!(integer(0x1f, 5, &mut &b"\x9a\x0a"[..]), Ok(1337));
    assert_eq!(integer(0x2a, 8, &mut &b""[..]), Ok(42));
}

#[test]
fn what_is_no_field_block_is_told() {
    for (wire, error) in [
        (&b"\x80"[..], Error::BadIndex),
        (b"\xbe", Error::BadIndex),
        (b"\x7f", Error::Truncated),
        (b"\x40\x0acustom", Error::Truncated),
        (b"\x40", Error::Truncated),
        (b"\xff\xff\xff\xff\xff\x7f", Error::BadInteger),
        (b"\xff\x80\x80\x80\x80\x80\x80\x00", Error::BadInteger),
        (b"\x82\x20", Error::BadSize),
        (b"\x3f\xe2\x1f", Error::BadSize),
        (b"\x00\x81\x06\x00", Error::BadHuffman),
    ] {
        assert_eq!(decode(&mut Decoder::new(), wire), Err(error), "{}", wire.escape_ascii());
    }
    assert_eq!(
        decode(&mut Decoder::joined(), b"\x3f\xe2\x1f\x82").map(|fields| fields.len()),
        Ok(1),
        "limit not known"
    );
}

#[test]
fn a_size_update_takes_nothing_away_from_who_joined_late() {
    let mut decoder = Decoder::joined();
    assert_eq!(
        decode(&mut decoder, b"\x40\x01a\x01b\xbf").unwrap(),
        [("a".to_owned(), "b".to_owned()), ("?1".to_owned(), "?".to_owned())]
    );
    let fields = decode(&mut decoder, b"\x20\x3f\xe1\x1f\x40\x01c\x01d\xbf\xc1").unwrap();
    assert_eq!(fields[1..], [("a".to_owned(), "b".to_owned()), ("?2".to_owned(), "?".to_owned())]);
}

#[test]
fn hostile_tables_stay_small() {
    let mut decoder = Decoder::new();
    decoder.allow(usize::MAX);
    decode(&mut decoder, b"\x3f\xe0\xff\xff\xff\x0f").unwrap();
    let entry = [&b"\x40\x01a\x7f\x81\x1f"[..], &[b'x'; 4096]].concat();
    for _ in 0..10_000 {
        decode(&mut decoder, &entry).unwrap();
    }
    assert!(decoder.memory() < 4 * table::KEPT_MAX, "{}", decoder.memory());
    assert!(!decoder.is_exact(), "the encoder may refer to what we do not have");
    assert_eq!(decode(&mut decoder, b"\xff\x80\x01").unwrap()[0].0, "?0");
}
