//! What is in the files.

use std::fmt::Write as _;

use ::parquet::{
    basic::Compression as Coded,
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::*;
use crate::sink::payloads::schema::{COLUMNS, Kind};

/// The rows of a Parquet file, as the reader gives them; without nulls.
fn read(file: Vec<u8>) -> Vec<Map<String, Value>> {
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("is Parquet");
    let row = |row: ::parquet::errors::Result<::parquet::record::Row>| {
        let row = row.expect("a row");
        let columns = row.get_column_iter().filter_map(|(name, field)| Some((name.clone(), value(field)?)));
        columns.collect()
    };
    reader.get_row_iter(None).expect("rows").map(row).collect()
}

fn value(field: &Field) -> Option<Value> {
    Some(match field {
        Field::Null => return None,
        Field::Bool(value) => json!(value),
        Field::Long(value) | Field::TimestampMicros(value) => json!(value),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(bytes.data()),
        other => panic!("{other:?}"),
    })
}

fn row(exchange: &Exchange) -> Map<String, Value> {
    read(parquet::file(&[exchange], Compression::Zstd).expect("written")).remove(0)
}

fn line(exchange: &Exchange) -> Value {
    serde_json::from_slice(&jsonl::file(&[exchange], Compression::None).expect("written")).expect("JSON")
}

/// A chat whose contents are there.
fn chat() -> Exchange {
    let mut exchange = sample::chat();
    exchange.request = Some(sample::request(
        "POST",
        "/v1/chat/completions?api_key=hunter2",
        &[
            ("Host", "llm:8000"),
            ("Authorization", "Bearer hunter2"),
            ("X-Request-Id", "r1"),
            ("Content-Type", "application/json"),
        ],
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
    ));
    exchange
}

#[test]
fn a_row_says_what_the_exchange_was() {
    let row = row(&chat());
    for (column, expected) in [
        ("time", json!(1_763_777_999_123_456_u64)),
        ("request_id", json!("r1")),
        ("inference_id", json!("chatcmpl-1")),
        ("model_name", json!("llama")),
        ("response_model", json!("llama-8b")),
        ("dialect", json!("openai")),
        ("operation", json!("chat")),
        ("tenant", json!("acme")),
        ("client_address", json!("10.0.0.2")),
        ("client_port", json!(40_000)),
        ("client_process", json!("curl")),
        ("server_pod_uid", json!("7f1b2c3d4e5f60718293a4b5c6d7e8f9")),
        ("server_container_id", json!("0123456789abcdef")),
        ("method", json!("POST")),
        ("host", json!("llm:8000")),
        ("path", json!("/v1/chat/completions")),
        ("query", json!("api_key=[masked]")),
        ("status", json!(200)),
        ("duration_us", json!(3_210)),
        ("time_to_first_token_us", json!(250_000)),
        ("time_per_output_token_us", json!(20_000)),
        ("input_tokens", json!(12)),
        ("output_tokens", json!(5)),
        ("cached_tokens", json!(4)),
        ("reasoning_tokens", json!(2)),
        ("finish_reasons", json!("[\"tool_calls\"]")),
        ("streamed", json!(true)),
        ("request_content", json!("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}")),
        ("request_content_type", json!("application/json")),
        ("request_truncated", json!(false)),
        ("request_redacted", json!(false)),
        ("response_content", json!("{\"outputs\":[2]}")),
        ("input_texts", json!("[{\"path\":\"$\",\"role\":\"user\",\"text\":\"hi\"}]")),
        ("output_texts", json!("[{\"path\":\"$\",\"role\":\"assistant\",\"text\":\"hello\"}]")),
        ("parameters", json!("{\"temperature\":0.5}")),
        ("tool_calls", json!("[{\"arguments\":\"{}\",\"id\":null,\"name\":\"search\"}]")),
        ("rules", json!("[\"audit/prompts\"]")),
        ("extracted", json!("{\"audit/prompts\":{\"a\":7}}")),
        ("complete", json!(true)),
    ] {
        assert_eq!(row.get(column), Some(&expected), "{column}");
    }
    let findings: Value = serde_json::from_str(row["findings"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (findings[0]["kind"].as_str(), findings[0]["masked"].as_str()),
        (Some("EMAIL_ADDRESS"), Some("a**@e******.com"))
    );
    for absent in ["error", "grpc_status", "request_content_binary", "inputs", "request_message_sizes", "anomalies"] {
        assert!(!row.contains_key(absent), "{absent}");
    }
    let all = format!("{row:?}{}", line(&chat()));
    assert!(!all.contains("hunter2"), "secrets of heads are never in it");
}

#[test]
fn tensors_are_as_the_open_inference_protocol_writes_them() {
    let mut exchange = sample::tabular();
    exchange.inference.as_mut().expect("one").outputs[0].values = crate::model::Values::Numbers(vec![0.5, f64::NAN]);
    let row = row(&exchange);
    assert_eq!(row["inputs"], json!("[{\"data\":[1.0,2.0,3.0],\"datatype\":null,\"name\":\"x\",\"shape\":[3,1]}]"));
    assert_eq!(row["outputs"], json!("[{\"data\":[0.5,null],\"datatype\":null,\"name\":\"y\",\"shape\":[3,1]}]"));
    assert_eq!((&row["error_type"], &row["batch"]), (&json!("bad_input"), &json!(3)));
}

#[test]
fn what_a_content_means_is_there_only_where_the_content_is() {
    let mut exchange = chat();
    exchange.request.as_mut().expect("one").trim(5);
    exchange.response.as_mut().expect("one").trim(0);
    let row = row(&exchange);
    assert_eq!((&row["request_content"], &row["request_truncated"]), (&json!("{\"mes"), &json!(true)));
    assert_eq!(row["response_truncated"], json!(true));
    for absent in ["response_content", "input_texts", "output_texts", "parameters", "tool_calls"] {
        assert!(!row.contains_key(absent), "{absent}");
    }
    let mut hidden = chat();
    hidden.request.as_mut().expect("one").hide_body();
    let row = super::rows::row(&hidden);
    assert_eq!(row["request_redacted"], json!(true));
    assert!(!row.contains_key("request_content") && !row.contains_key("input_texts"));
}

#[test]
fn what_is_no_text_is_bytes_and_messages_have_their_sizes() {
    let mut call = sample::call();
    call.request.as_mut().expect("one").body = Bytes::from_static(b"\xff\x00a");
    let row = row(&call);
    assert_eq!(row["request_content_binary"], json!([255, 0, 97]));
    assert!(!row.contains_key("request_content"));
    assert_eq!((&row["response_message_sizes"], &row["grpc_status"]), (&json!("[8,4]"), &json!(5)));
    assert_eq!(row["response_format"], json!("grpc"));
    assert_eq!(line(&call)["request_content_binary"], json!("/wBh"), "base64");
}

/// One definition gives both: a line says what a row says.
#[test]
fn lines_of_json_say_the_same() {
    for exchange in [chat(), sample::tabular(), sample::call(), sample::exchange()] {
        let (row, line) = (row(&exchange), line(&exchange));
        let line = line.as_object().expect("an object");
        assert_eq!(row.keys().collect::<BTreeSet<_>>(), line.keys().collect::<BTreeSet<_>>());
        for column in COLUMNS {
            let (Some(ours), Some(theirs)) = (row.get(column.name), line.get(column.name)) else { continue };
            match column.kind {
                Kind::Json => assert_eq!(&serde_json::from_str::<Value>(ours.as_str().unwrap()).unwrap(), theirs),
                Kind::Time => {
                    let time: jiff::Timestamp = theirs.as_str().unwrap().parse().expect("RFC 3339");
                    assert_eq!(json!(time.as_microsecond()), *ours);
                }
                Kind::Bytes => {}
                Kind::Integer | Kind::Boolean | Kind::Text => assert_eq!(ours, theirs, "{}", column.name),
            }
        }
    }
}

#[test]
fn every_compression_reads_back_and_is_what_it_says() {
    let chats = vec![chat(); 50];
    let rows: Vec<&Exchange> = chats.iter().collect();
    for (compression, coded) in [
        (Compression::None, "UNCOMPRESSED"),
        (Compression::Snappy, "SNAPPY"),
        (Compression::Gzip, "GZIP"),
        (Compression::Zstd, "ZSTD"),
    ] {
        let file = parquet::file(&rows, compression).expect("written");
        let reader = SerializedFileReader::new(Bytes::from(file.clone())).expect("is Parquet");
        let said: Coded = reader.metadata().row_group(0).column(0).compression();
        assert!(said.to_string().starts_with(coded), "{said}");
        assert_eq!(read(file).len(), 50);
    }
    let plain = jsonl::file(&rows, Compression::None).expect("written");
    let gzip = jsonl::file(&rows, Compression::Gzip).expect("written");
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut text).expect("is gzip");
    assert_eq!(text, plain);
    let zstd = jsonl::file(&rows, Compression::Zstd).expect("written");
    let mut text = vec![0; plain.len()];
    assert_eq!(zstd_safe::decompress(&mut text[..], &zstd), Ok(plain.len()));
    assert_eq!(text, plain);
}

#[test]
fn row_groups_are_bounded_and_keep_order_and_statistics() {
    let many: Vec<Exchange> = (0..10_500).map(|number| Exchange { number, ..sample::exchange() }).collect();
    let rows: Vec<&Exchange> = many.iter().collect();
    let file = parquet::file(&rows, Compression::None).expect("written");
    let reader = SerializedFileReader::new(Bytes::from(file.clone())).expect("is Parquet");
    let groups = reader.metadata().row_groups();
    assert!(groups.len() > 1 && groups.iter().all(|group| group.num_rows() <= 10_000));
    let column = |name: &str| COLUMNS.iter().position(|column| column.name == name).expect("there");
    assert!(groups[0].column(column("time")).statistics().is_some());
    assert!(groups[0].column(column("request_content")).statistics().is_none());
    let ids: Vec<Value> = read(file).into_iter().map(|row| row["id"].clone()).collect();
    assert!((0..10_500).all(|number| ids[number].as_str().unwrap().ends_with(&format!("-1-{number}"))));
}

#[test]
fn the_documentation_has_the_columns() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/payloads.md");
    let mut table = String::new();
    for column in COLUMNS {
        writeln!(table, "| `{}` | {} | {} |", column.name, column.kind.name(), column.meaning).expect("written");
    }
    let page = fs::read_to_string(&path).expect("docs/payloads.md is there");
    let (before, rest) = page.split_once("| --- | --- | --- |\n").expect("a table");
    let after = rest.find("\n\n").map_or("", |end| &rest[end + 1..]);
    let wanted = format!("{before}| --- | --- | --- |\n{table}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, wanted).expect("written");
        return;
    }
    assert!(page == wanted, "docs/payloads.md is outdated; run this test with UPDATE_DOCS=1");
}
