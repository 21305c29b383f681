//! The infer request of the Open Inference Protocol v2 (REST): JSON in, JSON out, no I/O.

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{CLASSES, FEATURES, classify, most_probable};

/// Name that the demo's model goes by.
pub(super) const MODEL: &str = "iris";
/// Its only version.
pub(super) const VERSION: &str = "1";
/// Name of its input tensor.
pub(super) const INPUT: &str = "flowers";
const POSTERIORS: &str = "posteriors";
const SPECIES: &str = "species";

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    inputs: Vec<Tensor>,
    #[serde(default)]
    outputs: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Value,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
}

/// What `GET v2/models/iris` answers.
pub(super) fn metadata() -> Value {
    json!({
        "name": MODEL,
        "versions": [VERSION],
        "platform": "interceptor_lda",
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, FEATURES]}],
        "outputs": [
            {"name": POSTERIORS, "datatype": "FP32", "shape": [-1, CLASSES.len()]},
            {"name": SPECIES, "datatype": "BYTES", "shape": [-1]},
        ],
    })
}

/// Answers an infer request, or says what is wrong with it (the protocol's error text; the status is 400).
pub(super) fn infer(body: &[u8]) -> Result<Value, String> {
    let request: Request =
        serde_json::from_slice(body).map_err(|error| format!("the request is no inference request: {error}"))?;
    let [input] = request.inputs.as_slice() else {
        return Err(format!("expected 1 input tensor, found {}", request.inputs.len()));
    };
    let flowers = read_tensor(input)?;
    let results: Vec<_> = flowers.into_iter().map(classify).collect();
    let all = [POSTERIORS, SPECIES].map(str::to_owned);
    let wanted: Vec<String> = match request.outputs.as_slice() {
        [] => all.into(),
        outputs => outputs.iter().map(|output| output.name.clone()).collect(),
    };
    let outputs = wanted.iter().map(|name| write_tensor(name, &results)).collect::<Result<Vec<_>, _>>()?;
    let mut response = json!({"model_name": MODEL, "model_version": VERSION, "outputs": outputs});
    if let Some(id) = request.id {
        response["id"] = id.into();
    }
    Ok(response)
}

fn read_tensor(tensor: &Tensor) -> Result<Vec<[f32; FEATURES]>, String> {
    if tensor.name != INPUT {
        return Err(format!("unknown input `{}`; the model has `{INPUT}`", tensor.name));
    }
    if tensor.datatype != "FP32" {
        return Err(format!("input `{INPUT}` is of type FP32, not {}", tensor.datatype));
    }
    let [rows, FEATURES] = tensor.shape[..] else {
        return Err(format!("input `{INPUT}` is of shape [-1, {FEATURES}], not {:?}", tensor.shape));
    };
    let mut values = Vec::new();
    flatten(&tensor.data, &mut values).ok_or_else(|| format!("input `{INPUT}` holds something that is no number"))?;
    let (flowers, rest) = values.as_chunks();
    if flowers.len() != rows || !rest.is_empty() {
        return Err(format!("shape {:?} does not fit {} values", tensor.shape, values.len()));
    }
    Ok(flowers.to_vec())
}

/// Tensor data is a flat list, or nested as the shape says; either way in row-major order.
fn flatten(data: &Value, values: &mut Vec<f32>) -> Option<()> {
    for item in data.as_array()? {
        match item {
            Value::Array(_) => flatten(item, values)?,
            #[expect(clippy::cast_possible_truncation, reason = "FP32 is what the tensor holds")]
            _ => values.push(item.as_f64()? as f32),
        }
    }
    Some(())
}

fn write_tensor(name: &str, results: &[[f32; CLASSES.len()]]) -> Result<Value, String> {
    match name {
        POSTERIORS => Ok(json!({
            "name": name, "datatype": "FP32", "shape": [results.len(), CLASSES.len()], "data": results.as_flattened(),
        })),
        SPECIES => {
            let data: Vec<_> = results.iter().map(|posteriors| CLASSES[most_probable(*posteriors)]).collect();
            Ok(json!({"name": name, "datatype": "BYTES", "shape": [results.len()], "data": data}))
        }
        _ => Err(format!("unknown output `{name}`; the model has `{POSTERIORS}` and `{SPECIES}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(shape: &Value, data: &Value) -> Vec<u8> {
        let tensor = json!({"name": INPUT, "datatype": "FP32", "shape": shape, "data": data});
        json!({"id": "7", "inputs": [tensor]}).to_string().into_bytes()
    }

    #[test]
    fn flat_and_nested_data_give_the_same_answer() {
        let flat = infer(&request(&json!([2, 4]), &json!([5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6, 2.5]))).unwrap();
        let nested = infer(&request(&json!([2, 4]), &json!([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6, 2.5]]))).unwrap();
        assert_eq!(flat, nested);
        assert_eq!(flat["id"], "7");
        assert_eq!(flat["outputs"][0]["shape"], json!([2, 3]));
        assert_eq!(flat["outputs"][1]["data"], json!(["setosa", "virginica"]));
    }

    #[test]
    fn only_the_outputs_asked_for_are_given() {
        let body = json!({
            "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [1, 4], "data": [7.0, 3.2, 4.7, 1.4]}],
            "outputs": [{"name": "species"}],
        });
        let answer = infer(body.to_string().as_bytes()).unwrap();
        assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
        assert_eq!(answer["outputs"][0]["data"], json!(["versicolor"]));
        assert!(answer.get("id").is_none());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |shape: Value, data: Value| infer(&request(&shape, &data)).unwrap_err();
        assert!(error(json!([1, 3]), json!([1, 2, 3])).contains("shape [-1, 4], not [1, 3]"));
        assert!(error(json!([2, 4]), json!([1, 2, 3, 4])).contains("does not fit 4 values"));
        assert!(error(json!([1, 4]), json!([1, 2, 3, "x"])).contains("no number"));
        // rows * 4 would overflow if it were computed.
        assert!(error(json!([usize::MAX, 4]), json!([])).contains("does not fit"));
        assert!(infer(b"{\"inputs\": [").unwrap_err().contains("no inference request"));
        assert!(infer(b"{\"inputs\": []}").unwrap_err().contains("expected 1 input tensor, found 0"));
    }
}
