mod agreement;
mod reach;
mod refused;
mod speed;

use super::*;
use crate::{
    model::{Dialect, Inference, Operation, Timing, Usage},
    sink::sample,
};

fn compile(text: &str) -> Expression {
    Expression::compile(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

fn inference() -> Inference {
    let mut inference = Inference::new(Dialect::Openai, Operation::Chat);
    inference.model = Some("tiny".to_owned());
    inference.usage = Usage { input: Some(7), output: Some(5), ..Usage::default() };
    inference.finish_reasons = vec!["stop".to_owned(), "length".to_owned()];
    inference.parameters = vec![("temperature".to_owned(), 0.5.into()), ("stop".to_owned(), vec!["a"].into())];
    inference.timing = Timing { first_token: Some(std::time::Duration::from_millis(250)), ..Timing::default() };
    inference
}

/// The sample is `POST /v2/models/tiny/infer?trace=1`, Host `model.default.svc:8000`, 10.0.0.2:40000 (curl, 321) to
/// 10.0.0.1:8000 (a pod), 200 after 3.21 ms.
#[test]
fn conditions_against_one_exchange() {
    let exchange = sample::exchange();
    let inference = inference();
    let scene = Scene::of(&exchange, Some(&inference));
    for (text, expected) in [
        ("request.method == 'POST'", true),
        ("request.method != 'POST'", false),
        ("request.url_path.startsWith('/v2/') && response.code == 200", true),
        ("request.path == '/v2/models/tiny/infer?trace=1'", true),
        ("request.headers['Host'] == 'model.default.svc:8000'", true),
        ("request.headers.host == request.host", true),
        ("request.headers.accept == 'a/b,c/d'", true),
        ("'HOST' in request.headers && !('x' in request.headers)", true),
        ("request.headers.exists(name, name == 'user-agent')", true),
        ("request.scheme == 'http' && request.protocol == 'HTTP/1.1'", true),
        ("request.useragent.endsWith('/8')", true),
        ("destination.port in [80, 8000]", true),
        ("source.process.name == 'curl' && source.process.pid == 321", true),
        ("has(destination.pod.uid) && !has(source.pod.uid)", true),
        ("destination.pod.qos == 'Guaranteed'", true),
        ("cidr('10.0.0.0/8').containsIP(source.ip)", true),
        ("cidr('10.0.0.0/31').containsIP(source.ip)", false),
        ("cidr('fd00::/8').containsIP(source.ip)", false),
        ("source.address == '10.0.0.2:40000'", true),
        ("request.query.matches('^trace=[0-9]$')", true),
        ("has(request.headers.x) || has(response.code)", true),
        ("request.headers.x == 'y' || response.code == 200", true),
        ("duration > duration('3.2ms') && duration < duration('3211us')", true),
        ("response.backend_latency == duration('3ms')", true),
        ("request.time > timestamp('2025-01-01T00:00:00Z')", true),
        ("anomalies.exists(a, a == 'gap')", false),
        ("size(anomalies) == 0 && anomalies.size() == 0", true),
        ("inference.dialect == 'openai' && inference.operation in ['chat', 'infer']", true),
        ("inference.model.contains('in')", true),
        ("inference.usage.total == 12 && inference.usage.input > 2.5", true),
        ("!has(inference.usage.cached)", true),
        ("inference.finish_reasons.all(r, r != 'x') && 'stop' in inference.finish_reasons", true),
        ("inference.finish_reasons.exists_one(r, r == 'stop')", true),
        ("inference.finish_reasons.map(r, r.upperAscii())[1] == 'LENGTH'", true),
        ("inference.finish_reasons.filter(r, r.size() > 4) == ['length']", true),
        ("inference.parameters.temperature < 1 && inference.parameters['stop'][0] == 'a'", true),
        ("inference.timing.first_token.getMilliseconds() == 250", true),
        ("response.code / 100 == 2 ? true : false", true),
        ("number == 3 && flow.id == connection.id", true),
    ] {
        assert_eq!(compile(text).test(&scene), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_no_value_is_a_fault_and_no_truth() {
    let exchange = sample::exchange();
    let scene = Scene::of(&exchange, None);
    for (text, fault) in [
        ("request.headers.x == 'y'", Fault::NoSuchKey),
        ("inference.model == 'x'", Fault::Absent("inference.model")),
        ("inference.dialect == 'openai'", Fault::Absent("inference.dialect")),
        ("response.grpc_status == 0", Fault::Absent("response.grpc_status")),
        ("anomalies[3] == 'gap'", Fault::NoSuchKey),
        ("number / 0 == 1", Fault::Failed("a number is too large")),
        ("int(request.method) == 1", Fault::Failed("text cannot be read as such a value")),
    ] {
        let expression = compile(text);
        assert_eq!(expression.test(&scene), Err(fault), "{text}");
        assert!(!expression.is_possible(&scene), "{text}");
    }
}

/// As the request's head comes, and again as the response's does: what is false by then stays false.
#[test]
fn what_is_not_known_yet_leaves_open_what_depends_on_it() {
    let exchange = sample::exchange();
    let over = Scene::of(&exchange, None);
    let response = Scene { over: None, recognised: Some((Dialect::Openai, Operation::Chat)), ..over };
    let request = Scene { response: None, ..response };
    let other = Scene { recognised: None, ..request };
    for (text, of_request, of_response, of_other) in [
        ("request.method == 'GET' && response.code == 200", false, false, false),
        ("request.method == 'POST' && response.code == 200", true, true, true),
        ("request.method == 'POST' && response.code == 500", true, false, true),
        ("request.headers.x == 'y' && response.code == 200", false, false, false),
        ("request.method == 'GET' || response.code == 200", true, true, true),
        ("request.method == 'GET' || response.code == 500", true, false, true),
        ("inference.operation == 'chat'", true, true, false),
        ("inference.operation == 'infer'", false, false, false),
        ("inference.model == 'x'", true, true, false),
        ("has(inference.error.message) || response.code >= 400", true, true, true),
        ("duration > duration('1s') && destination.port == 8000", true, true, true),
        ("duration > duration('1s') && destination.port == 1", false, false, false),
        ("!complete", true, true, true),
    ] {
        let expression = compile(text);
        assert_eq!(expression.is_possible(&request), of_request, "request: {text}");
        assert_eq!(expression.is_possible(&response), of_response, "response: {text}");
        assert_eq!(expression.is_possible(&other), of_other, "no inference: {text}");
    }
}

#[test]
fn a_conjunction_is_shown_in_its_sides() {
    let sides = |text: &str| compile(text).conjuncts().iter().map(|side| side.text().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        sides("request.method == '&&' && (complete || number == 1)\n && has(response.code)"),
        ["request.method == '&&'", "(complete || number == 1)", "has(response.code)"]
    );
    assert_eq!(sides("complete || complete && complete"), ["complete || complete && complete"]);
    assert_eq!(sides("complete && complete ? complete : complete"), ["complete && complete ? complete : complete"]);
}

#[test]
fn an_evaluation_has_an_upper_bound() {
    let exchange = sample::exchange();
    let mut inference = inference();
    inference.finish_reasons = vec!["x".repeat(1000); 2000];
    let scene = Scene::of(&exchange, Some(&inference));
    let doubled = format!("inference.finish_reasons.all(r, ({}).contains('x'))", ["r"; 30].join(" + "));
    assert_eq!(compile(&doubled).test(&scene), Err(Fault::Failed("it takes too long")));
}

#[test]
fn every_attribute_has_a_value_of_its_type_or_none() {
    let (exchange, call, inference) = (sample::exchange(), sample::call(), inference());
    for attribute in Attribute::ALL {
        for scene in [Scene::of(&exchange, Some(&inference)), Scene::of(&call, None)] {
            let expression = compile(attribute.path());
            let Ok(value) = expression.value(&scene) else { continue };
            let fits = matches!(
                (attribute.kind(), &value),
                (Type::Bool, Value::Bool(_))
                    | (Type::Int, Value::Int(_))
                    | (Type::String, Value::String(_))
                    | (Type::Duration, Value::Duration(_))
                    | (Type::Timestamp, Value::Timestamp(_))
                    | (Type::List(_), Value::List(_))
                    | (Type::Map(_), Value::Map(_))
            );
            assert!(fits, "{}: {value}", attribute.path());
        }
    }
}
