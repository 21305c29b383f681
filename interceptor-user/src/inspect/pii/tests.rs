use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    inspect::{
        Budget, Report,
        testing::{inspect, inspect_within, part, request},
    },
    model::{
        Dialect, Entity, Exchange, Fields, Format, Head, Inference, KeptPiece, Kind as PieceKind, Operation, Piece,
        Pieces, Role, Text, Timestamp, ToolCall, UninspectedReason, Version,
    },
    policy::settings,
};

fn all() -> Scanner {
    Scanner::new(Entity::ALL, THRESHOLD)
}

/// What is found, as `ENTITY value`.
fn found(scanner: &Scanner, text: &str, name: &str) -> Vec<String> {
    let matches = scanner.scan(text.as_bytes(), name);
    matches.into_iter().map(|one| format!("{} {}", scanner.name(one.kind), &text[one.range])).collect()
}

/// Entity, a text in which it is found, and one in which it is not: the check digit is wrong, or nothing speaks of it.
const RECOGNISERS: &[(&str, &str, &str)] = &[
    ("EMAIL_ADDRESS", "to jane@example.com.", "to jane@example"),
    ("CREDIT_CARD", "4111 1111 1111 1111", "4111 1111 1111 1112"),
    ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"),
    ("US_SSN", "219-09-9999", "666-09-9999"),
    ("US_ITIN", "ITIN 912-70-1234", "ITIN 912-49-1234"),
    ("PHONE_NUMBER", "+1 212-555-0142", "+1 23"),
    ("IP_ADDRESS", "from 192.0.2.1", "from 192.0.2.256"),
    ("MAC_ADDRESS", "00:1a:2b:3c:4d:5e", "00:1a:2b:3c:4d"),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"),
    ("CRYPTO", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp"),
    ("URL", "at https://example.com/x?y=z.", "at xhttps:/example"),
    ("US_PASSPORT", "passport C01234567", "shelf C01234567"),
    ("US_DRIVER_LICENSE", "driver license I1234568", "part I1234568"),
    ("US_BANK_NUMBER", "bank account 12345678901", "row 12345678901"),
    ("US_NPI", "NPI 1234567893", "NPI 1234567894"),
    ("MEDICAL_LICENSE", "DEA AB1234563", "DEA AB1234564"),
    ("UK_NHS", "NHS 943 476 5919", "NHS 943 476 5918"),
    ("UK_NINO", "AB 12 34 56 C", "AB 12 34 56 E"),
    ("ES_NIF", "12345678Z", "12345678A"),
    ("ES_NIE", "X-1234567-L", "X-1234567-A"),
    ("IT_FISCAL_CODE", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
    ("IT_VAT_CODE", "partita IVA 12345670017", "partita IVA 12345670018"),
    ("PL_PESEL", "PESEL 44051401359", "PESEL 44051401358"),
    ("SG_NRIC_FIN", "S1234567D", "S1234567A"),
    ("AU_ABN", "ABN 51 824 753 556", "ABN 51 824 753 557"),
    ("AU_ACN", "ACN 004 085 616", "ACN 004 085 617"),
    ("AU_TFN", "TFN 876 543 210", "TFN 876 543 211"),
    ("AU_MEDICARE", "Medicare 2123 45670 1", "Medicare 2123 45671 1"),
    ("IN_AADHAAR", "Aadhaar 2341 2341 2346", "Aadhaar 2341 2341 2347"),
    ("IN_PAN", "PAN ABCPE1234F", "PAN ABCDE1234F"),
    ("IN_GSTIN", "27AAPFU0939F1ZV", "27AAPFU0939F1ZW"),
    ("FI_PERSONAL_IDENTITY_CODE", "131052-308T", "131052-308U"),
    ("KR_RRN", "960121-1234561", "960121-1234560"),
    ("TH_TNIN", "1-2345-67890-12-1", "1-2345-67890-12-2"),
    ("SE_PERSONNUMMER", "811228-9874", "811228-9875"),
    ("AWS_ACCESS_KEY", concat!("AKIA", "IOSFODNN7EXAMPLE"), "AKIA1234"),
    (
        "AWS_SECRET_KEY",
        "aws secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
    ("GCP_API_KEY", concat!("AIza", "Sy0123456789abcdefghijklmnopqrstuvw"), concat!("AIza", "Sy0123456789")),
    ("GITHUB_TOKEN", concat!("ghp", "_0123456789abcdefghijklmnopqrstuvwxyz"), "ghp_0123"),
    ("GITLAB_TOKEN", concat!("glpat", "-0123456789abcdefghij"), "glpat-0123"),
    ("SLACK_TOKEN", concat!("xoxb", "-12345678901-123456789012-abcdef"), "xoxb-1"),
    ("OPENAI_API_KEY", concat!("sk", "-0123456789abcdefghijklmnopqrstuvwxyz"), "sk-learn-0.1"),
    ("ANTHROPIC_API_KEY", concat!("sk", "-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz"), "sk-ant-1"),
    ("HUGGINGFACE_TOKEN", concat!("hf", "_abcdefghijklmnopqrstuvwxyzabcdefgh"), "hf_model"),
    ("STRIPE_KEY", concat!("sk", "_live_0123456789abcdefghijklmn"), "sk_live_x"),
    (
        "PRIVATE_KEY",
        concat!("-----BEGIN ", "PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"),
        "-----BEGIN CERTIFICATE-----",
    ),
    ("JWT", concat!("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"), "eyJxbGciOiJIUzI1NiJ9.e.c"),
];

#[test]
fn each_recogniser_says_yes_and_no() {
    let scanner = all();
    for (entity, yes, no) in RECOGNISERS {
        let of = |text: &str| found(&scanner, text, "").iter().any(|found| found.starts_with(&format!("{entity} ")));
        assert!(of(yes), "{entity}: {yes}: {:?}", found(&scanner, yes, ""));
        assert!(!of(no), "{entity}: {no}");
        assert!(Entity::named(entity).is_some());
        let alone = Scanner::new(&[Entity::named(entity).unwrap()], THRESHOLD);
        assert!(!found(&alone, yes, "").is_empty(), "{entity} alone");
    }
    let azure = format!("AccountKey={}AAAAAA==", "a1B2c3D4e5".repeat(8));
    assert_eq!(found(&scanner, &azure, "").len(), 1);
    let tested = |entity: &&Entity| RECOGNISERS.iter().any(|(name, ..)| *name == entity.name());
    assert_eq!(Entity::ALL.iter().filter(|entity| !tested(entity)).collect::<Vec<_>>(), [&Entity::AzureStorageKey]);
}

#[test]
fn only_what_is_enabled_is_found() {
    let scanner = Scanner::new(&[Entity::EmailAddress], THRESHOLD);
    assert_eq!(
        found(&scanner, "a@example.com 4111111111111111 https://example.com", ""),
        ["EMAIL_ADDRESS a@example.com"]
    );
}

#[test]
fn names_and_words_raise_scores() {
    let scanner = all();
    assert!(found(&scanner, "219099999", "").is_empty());
    assert_eq!(found(&scanner, "219099999", "employeeSsn"), ["US_SSN 219099999"]);
    assert_eq!(found(&scanner, "ssn 219099999", ""), ["US_SSN 219099999"]);
    let score = |text: &str| all().scan(text.as_bytes(), "")[0].score;
    assert!((score("ssn 219-09-9999") - score("abc 219-09-9999") - 0.35).abs() < 1e-6);
}

#[test]
fn the_policy_has_recognisers_and_exceptions() {
    let settings: settings::Pii = serde_json::from_str(
        r#"{"entities":["EMAIL_ADDRESS"],"allow":["help@example.com"],
            "recognizers":[{"name":"STAFF_ID","regex":"\\bE-\\d{4}\\b","score":0.3,"context":["staff"]}]}"#,
    )
    .unwrap();
    let scanner = Scanner::of(&settings).unwrap();
    assert_eq!(found(&scanner, "help@example.com, me@example.com", ""), ["EMAIL_ADDRESS me@example.com"]);
    assert_eq!(found(&scanner, "E-5678. staff E-1234", ""), ["STAFF_ID E-1234"]);
    for regex in ["(a", "(?=a)", "(a{1000}){1000}"] {
        let mut settings = settings.clone();
        settings.recognizers[0].regex = regex.to_owned();
        assert!(Scanner::of(&settings).unwrap_err().to_string().starts_with("recognizers[0].regex: "), "{regex}");
    }
}

fn pii(settings: &str) -> Pii {
    Pii::new(&serde_json::from_str(settings).unwrap(), Key::new(b"key")).unwrap()
}

fn told(report: &Report) -> Vec<String> {
    let one = |finding: &crate::model::Finding| {
        let masked = &finding.value.as_ref().unwrap().masked;
        format!("{} {} {masked} x{}", finding.kind, finding.place, finding.count)
    };
    report.findings.iter().map(one).collect()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn every_part_of_a_request_is_searched() {
    let body = br#"{"user":{"ssn":219099999},"messages":[{"content":"I am jane@example.com, jane@example.com"}]}"#;
    let sent = request(
        "/u/bob@example.org?card=4111111111111111&q=x",
        &[JSON, ("x-contact", "+1 212-555-0142"), ("host", "192.0.2.1")],
        body,
    );
    assert_eq!(
        told(&inspect(&mut pii("{}"), &sent, None)),
        [
            "EMAIL_ADDRESS path ***@example.org x1",
            "CREDIT_CARD query:card ************1111 x1",
            "PHONE_NUMBER header:x-contact *************** x1",
            "US_SSN $['user']['ssn'] ********* x1",
            "EMAIL_ADDRESS $['messages'][0]['content'] ***@example.com x2",
        ]
    );
    assert_eq!(told(&inspect(&mut pii(r#"{"in":["path"]}"#), &sent, None)).len(), 1);
    assert!(told(&inspect(&mut pii(r#"{"sides":["response"]}"#), &sent, None)).is_empty());
}

#[test]
fn forms_and_texts_are_searched() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let sent = request("/", &form, b"mail=jane%40example.com&note=ssn+219-09-9999");
    assert_eq!(
        told(&inspect(&mut pii("{}"), &sent, None)),
        ["EMAIL_ADDRESS form:mail ***@example.com x1", "US_SSN form:note *********** x1"]
    );
    let sent = request("/", &[("content-type", "text/plain")], b"jane@example.com");
    assert_eq!(told(&inspect(&mut pii("{}"), &sent, None)), ["EMAIL_ADDRESS body ***@example.com x1"]);
    let sent = request("/", &[("content-type", "image/png")], b"\x89PNG\xff\xfe jane@example.com \xff\xff\xff");
    let report = inspect(&mut pii("{}"), &sent, None);
    assert_eq!((report.findings.len(), report.uninspected[0].reason), (0, UninspectedReason::Unsupported));
}

/// A response in messages.
fn streamed(format: Format, kind: PieceKind, messages: &[&[u8]]) -> Exchange {
    let mut answer = part(Head::response(200, Version::Http11, Fields::default()), &messages.concat());
    let mut pieces = Pieces::new(format);
    let mut start = 0;
    for message in messages {
        let size = message.len() as u64;
        let piece = Piece { kind, time: Timestamp::default(), size, wire_size: size, compression: None, whole: true };
        pieces.kept.push(KeptPiece { piece, start, len: message.len() as u32 });
        pieces.count(&piece);
        start += message.len() as u32;
    }
    answer.pieces = Some(pieces);
    let mut exchange = request("/inference.GRPCInferenceService/ModelInfer", &[], b"");
    exchange.response = Some(answer);
    exchange
}

#[test]
fn messages_are_searched() {
    let event = b"event: x\ndata: {\"m\":\"jane@example.com\"}\n\n";
    let text = b"call +1 212-555-0142";
    let part = b"Content-Disposition: form-data; name=\"mail\"\r\n\r\njane@example.com";
    // Field 1, a string: `model_name`.
    let grpc = b"\x0a\x10jane@example.com";
    for (format, kind, message, expected) in [
        (Format::EventStream, PieceKind::Data, event.as_slice(), "EMAIL_ADDRESS $['m'] ***@example.com x1"),
        (
            Format::JsonLines,
            PieceKind::Data,
            b"{\"m\":\"jane@example.com\"}",
            "EMAIL_ADDRESS $['m'] ***@example.com x1",
        ),
        (Format::WebSocket, PieceKind::Text, text, "PHONE_NUMBER body *************** x1"),
        (Format::Multipart, PieceKind::Data, part, "EMAIL_ADDRESS form:mail ***@example.com x1"),
        (Format::Grpc, PieceKind::Data, grpc, "EMAIL_ADDRESS $['modelName'] ***@example.com x1"),
    ] {
        let report = inspect(&mut pii("{}"), &streamed(format, kind, &[message]), None);
        assert_eq!(told(&report), [expected], "{format:?}");
    }
}

#[test]
fn a_streamed_answer_is_searched_as_what_it_comes_to() {
    let exchange = streamed(
        Format::EventStream,
        PieceKind::Data,
        &[b"data: {\"d\":\"jane@exam\"}\n\n", b"data: {\"d\":\"ple.com\"}\n\n"],
    );
    assert!(inspect(&mut pii("{}"), &exchange, None).findings.is_empty());
    let mut inference = Inference::new(Dialect::Openai, Operation::Chat);
    let path = "$['choices'][0]['message']['content']".to_owned();
    inference.texts.push(Text {
        role: Role::Response,
        speaker: "assistant".into(),
        path,
        text: "jane@example.com".into(),
    });
    inference.tool_calls.push(ToolCall { id: None, name: "f".into(), arguments: r#"{"ssn":"219-09-9999"}"#.into() });
    assert_eq!(
        told(&inspect(&mut pii("{}"), &exchange, Some(&inference))),
        ["EMAIL_ADDRESS $['choices'][0]['message']['content'] ***@example.com x1", "US_SSN $['ssn'] *********** x1"]
    );
}

#[test]
fn budgets_end_the_search_and_it_is_said() {
    let body = format!(r#"{{"a":"{}","b":"jane@example.com"}}"#, "x".repeat(100_000));
    let sent = request("/", &[JSON], body.as_bytes());
    for (mut budget, reason) in [
        (Budget::new(50_000, None), UninspectedReason::Bytes),
        (Budget::new(usize::MAX, Some(Duration::ZERO)), UninspectedReason::Time),
    ] {
        let report = inspect_within(&mut pii("{}"), &sent, None, &mut budget);
        assert!(report.findings.is_empty());
        assert_eq!(report.uninspected.iter().map(|skipped| skipped.reason).collect::<Vec<_>>(), [reason]);
    }
    assert_eq!(inspect(&mut pii("{}"), &sent, None).findings.len(), 1);
    let many = (0..500).map(|number| format!("user{number}@example.com")).collect::<Vec<_>>().join(" ");
    let report = inspect(&mut pii(r#"{"maxFindings":7}"#), &request("/", &[], many.as_bytes()), None);
    assert_eq!((report.findings.len(), report.uninspected.len()), (7, 1));
}

#[test]
fn what_was_not_kept_is_said() {
    let mut sent = request("/", &[JSON], b"{");
    sent.request.as_mut().unwrap().body_size = 100;
    sent.request.as_mut().unwrap().decoded_size = 100;
    assert_eq!(inspect(&mut pii("{}"), &sent, None).uninspected[0].reason, UninspectedReason::NotKept);
    sent.request.as_mut().unwrap().body_missing = 50;
    assert_eq!(inspect(&mut pii("{}"), &sent, None).uninspected[0].reason, UninspectedReason::Missing);
}

#[test]
fn a_value_across_windows_is_found_once() {
    let mut inspector = pii("{}");
    for pad in 16_366..16_386 {
        let text = format!("{} jane@example.com {}", "x".repeat(pad), "y ".repeat(2_000));
        let report = inspect(&mut inspector, &request("/", &[], text.as_bytes()), None);
        assert_eq!(told(&report), ["EMAIL_ADDRESS body ***@example.com x1"], "{pad}");
        let text = text.replace("jane@example.com", "4111111111111111");
        let report = inspect(&mut inspector, &request("/", &[], text.as_bytes()), None);
        assert_eq!(told(&report), ["CREDIT_CARD body ************1111 x1"], "{pad}");
    }
}

#[test]
fn hashes_are_keyed() {
    let hash = |key: &[u8]| Key::new(key).conceal(Kind::Known(Entity::UsSsn), b"219-09-9999").hash;
    assert_eq!(hash(b"a"), hash(b"a"));
    assert_ne!(hash(b"a"), hash(b"b"));
    // RFC 4231, test case 2, by a longer way: the same construction.
    let known = Key::new(b"Jefe").conceal(Kind::Known(Entity::Url), b"what do ya want for nothing?").hash;
    assert_eq!(known, "5bdcc146bf60754e6a042426089575c7");
}

#[test]
fn redaction() {
    let scanner = all();
    let clean = |text: &str, replacement| {
        scanner.redact_json(text.as_bytes(), replacement).map(|text| String::from_utf8(text).unwrap())
    };
    let text = r#"{"jane@example.com":1, "card":4111111111111111, "t":"a\n\"b@example.com\" \u00e9", "n":1.5}"#;
    assert_eq!(
        clean(text, Replacement::Entity).unwrap(),
        r#"{"<EMAIL_ADDRESS>":1, "card":"<CREDIT_CARD>", "t":"a\n\"<EMAIL_ADDRESS>\" é", "n":1.5}"#
    );
    assert_eq!(
        clean(text, Replacement::Masked).unwrap(),
        r#"{"***@example.com":1, "card":"************1111", "t":"a\n\"***@example.com\" é", "n":1.5}"#
    );
    assert_eq!(clean(r#"{"a":"b"}"#, Replacement::Entity), None);
    assert_eq!(clean("no json: a@example.com", Replacement::Entity).unwrap(), "no json: <EMAIL_ADDRESS>");
}

/// Personal data that is embedded in what a test makes up.
fn values() -> impl Strategy<Value = &'static str> {
    prop::sample::select(RECOGNISERS.iter().map(|(_, yes, _)| *yes).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), part in 0..300_usize) {
        let scanner = all();
        for found in scanner.scan(&bytes, "name") {
            prop_assert!(found.range.end <= bytes.len() && !found.range.is_empty());
        }
        scanner.scan_part(&bytes, part..bytes.len(), "");
        scanner.redact_json(&bytes, Replacement::Masked);
        inspect(&mut pii("{}"), &request("/", &[JSON], &bytes), None);
    }

    #[test]
    fn bytes_of_which_values_are_made_do_no_harm(text in "[0-9A-Fa-z@:./+()_\\-\\\\ ,\"{}\u{a0}é%\\[\\]]{0,200}") {
        for found in all().scan(text.as_bytes(), "") {
            prop_assert!(found.range.end <= text.len());
        }
        all().redact_json(text.as_bytes(), Replacement::Entity);
        inspect(&mut pii("{}"), &request(&format!("/{text}"), &[], text.as_bytes()), None);
    }

    #[test]
    fn redacted_json_is_json_without_the_values(
        name in "[a-z\"\\\\\n]{0,8}", before in ".{0,20}", value in values(), after in ".{0,20}", number in any::<u64>(),
    ) {
        let text = serde_json::json!({ &name: [format!("{before} {value} {after}"), number], value: value }).to_string();
        for replacement in [Replacement::Entity, Replacement::Masked] {
            if let Some(clean) = all().redact_json(text.as_bytes(), replacement) {
                let parsed: serde_json::Value = serde_json::from_slice(&clean).unwrap();
                prop_assert!(parsed.is_object());
            }
        }
    }

    #[test]
    fn findings_do_not_hold_the_value(before in "[a-z ]{0,20}", value in values()) {
        let text = serde_json::json!({ "n": format!("{before} {value}"), value: { "x": value } }).to_string();
        let sent = request(&format!("/?{}=1", value.replace(' ', "+")), &[JSON], text.as_bytes());
        let scanner = all();
        let matches = scanner.scan(value.as_bytes(), "");
        let report = inspect(&mut pii("{}"), &sent, None);
        for finding in &report.findings {
            for one in &matches {
                let secret = &value[one.range.clone()];
                let masked = &finding.value.as_ref().unwrap().masked;
                prop_assert!(!finding.text.contains(secret) && !finding.place.contains(secret), "{finding:?}");
                prop_assert!(!masked.contains(secret), "{finding:?}");
            }
        }
        prop_assert!(matches.is_empty() || !report.findings.is_empty());
    }
}
