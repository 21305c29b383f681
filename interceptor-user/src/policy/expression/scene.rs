//! What is known of an exchange, and what attributes are in it.

use std::{borrow::Cow, collections::HashMap, net::IpAddr, time::Duration};

use super::{
    attribute::{Attribute, Stage},
    value::{Fault, Value},
};
use crate::model::{
    Anomaly, Container, Dialect, Exchange, Fields, FlowInfo, Head, Inference, Operation, Part, Peer, Role, Target,
    Tensor, Timestamp, ToolCall, Version,
};

/// Elements of a list or a map that are looked at.
pub(super) const ELEMENTS: usize = 1024;

/// What is known of an exchange by now.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The flow that carries it.
    pub flow: &'a FlowInfo,
    /// Ordinal in its flow.
    pub number: u64,
    /// The request's head.
    pub request: Option<&'a Head>,
    /// The response's head.
    pub response: Option<&'a Head>,
    /// What the request's head asks of a model server, if it asks something.
    pub recognised: Option<(Dialect, Operation)>,
    /// The exchange, once it is over.
    pub over: Option<&'a Exchange>,
    /// What it means to a model server, once it is over.
    pub inference: Option<&'a Inference>,
    /// The request, once that is over.
    pub asked: Option<Asked<'a>>,
}

/// A request that is whole, before there is a response.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The exchange, as far as it is there.
    pub exchange: &'a Exchange,
    /// What it asks of a model server, if it asks something.
    pub inference: Option<&'a Inference>,
}

impl<'a> Scene<'a> {
    /// An exchange that is over.
    pub fn of(exchange: &'a Exchange, inference: Option<&'a Inference>) -> Self {
        Self {
            flow: &exchange.flow,
            number: exchange.number,
            request: exchange.request.as_ref().map(|part| &part.head),
            response: exchange.response.as_ref().map(|part| &part.head),
            recognised: inference.map(|inference| (inference.dialect, inference.operation)),
            over: Some(exchange),
            inference,
            asked: None,
        }
    }

    /// What this attribute is here.
    pub(super) fn value(&self, attribute: Attribute) -> Result<Value<'a>, Fault> {
        let found = match attribute.stage() {
            Stage::Flow => Ok(self.of_flow(attribute)),
            Stage::Request | Stage::Response => self.of_head(attribute),
            Stage::Recognised => self.of_recognised(attribute),
            Stage::End => self.told(attribute).map(|exchange| of_exchange(attribute, exchange)),
            Stage::Content => self.of_inference(attribute),
        };
        found?.ok_or(Fault::Absent(attribute.path()))
    }

    /// A field of a head or of trailers, by its name in lower case.
    pub(super) fn field(&self, attribute: Attribute, name: &str) -> Result<Value<'a>, Fault> {
        let fields = self.fields(attribute)?;
        joined(fields, name).map(Value::String).ok_or(Fault::NoSuchKey)
    }

    /// The exchange, if all is there of it that the attribute depends on.
    fn told(&self, attribute: Attribute) -> Result<&'a Exchange, Fault> {
        let asked = self.asked.filter(|_| attribute.is_of_request()).map(|asked| asked.exchange);
        self.over.or(asked).ok_or(Fault::Unknown)
    }

    fn fields(&self, attribute: Attribute) -> Result<&'a Fields, Fault> {
        let part = |role| self.told(attribute).map(|exchange| exchange.part(role));
        let fields = match attribute {
            Attribute::RequestHeaders => self.head(Role::Request)?.map(|head| &head.fields),
            Attribute::ResponseHeaders => self.head(Role::Response)?.map(|head| &head.fields),
            Attribute::RequestTrailers => part(Role::Request)?.map(|part| &part.trailers),
            Attribute::ResponseTrailers => part(Role::Response)?.map(|part| &part.trailers),
            _ => None,
        };
        fields.ok_or(Fault::Absent(attribute.path()))
    }

    /// A head; None where there is none and none will come.
    fn head(&self, role: Role) -> Result<Option<&'a Head>, Fault> {
        let head = match role {
            Role::Request => self.request,
            Role::Response => self.response,
        };
        if head.is_none() && self.over.is_none() { Err(Fault::Unknown) } else { Ok(head) }
    }

    fn of_flow(&self, attribute: Attribute) -> Option<Value<'a>> {
        use Attribute as A;
        let flow = self.flow;
        let (source, destination) = (&flow.client, &flow.server);
        match attribute {
            A::SourceAddress => Some(text(source.endpoint.to_string())),
            A::SourceIp => Some(address(source.endpoint.ip())),
            A::SourcePort => Some(Value::Int(source.endpoint.port().into())),
            A::SourceProcessName => process_name(source),
            A::SourceProcessPid => process_pid(source),
            A::SourceContainerId => source.container.as_deref().map(|container| borrowed(&container.id)),
            A::SourcePodUid => pod_uid(source.container.as_deref()),
            A::SourcePodQos => pod_qos(source.container.as_deref()),
            A::DestinationAddress => Some(text(destination.endpoint.to_string())),
            A::DestinationIp => Some(address(destination.endpoint.ip())),
            A::DestinationPort => Some(Value::Int(destination.endpoint.port().into())),
            A::DestinationProcessName => process_name(destination),
            A::DestinationProcessPid => process_pid(destination),
            A::DestinationContainerId => destination.container.as_deref().map(|container| borrowed(&container.id)),
            A::DestinationPodUid => pod_uid(destination.container.as_deref()),
            A::DestinationPodQos => pod_qos(destination.container.as_deref()),
            A::ConnectionId | A::FlowId => Some(int(flow.id)),
            A::FlowZone => Some(Value::Int(flow.key.zone().into())),
            A::FlowInterface => Some(Value::Int(flow.interface.into())),
            A::FlowJoined => Some(Value::Bool(flow.joined)),
            A::FlowStart => Some(time(flow.start)),
            _ => None,
        }
    }

    fn of_head(&self, attribute: Attribute) -> Result<Option<Value<'a>>, Fault> {
        use Attribute as A;
        let role = if attribute.stage() == Stage::Response { Role::Response } else { Role::Request };
        if attribute == A::Number {
            return Ok(Some(int(self.number)));
        }
        let Some(head) = self.head(role)? else { return Ok(None) };
        let named = |name| joined(&head.fields, name).map(Value::String);
        Ok(match attribute {
            A::RequestMethod => head.method().map(borrowed),
            A::RequestPath => head.target().map(borrowed),
            A::RequestUrlPath => Target::of(head).path.map(borrowed),
            A::RequestQuery => head.target().map(|_| borrowed(Target::of(head).query.unwrap_or_default())),
            A::RequestHost => Target::of(head).authority.map(|authority| match authority.port {
                None if !authority.host.contains(':') => borrowed(authority.host),
                _ => text(authority.to_string()),
            }),
            A::RequestScheme => head.target().map(|target| {
                let absolute = target.split_once("://").map(|(scheme, _)| scheme);
                borrowed(absolute.filter(|scheme| !scheme.contains('/')).unwrap_or("http"))
            }),
            A::RequestProtocol | A::ResponseProtocol => Some(borrowed(protocol(head.version))),
            A::RequestHeaders | A::ResponseHeaders => Some(map(&head.fields)),
            A::RequestId => named("x-request-id"),
            A::RequestUseragent => named("user-agent"),
            A::RequestReferer => named("referer"),
            A::ResponseCode => head.status().map(|status| Value::Int(status.into())),
            _ => None,
        })
    }

    fn of_recognised(&self, attribute: Attribute) -> Result<Option<Value<'a>>, Fault> {
        if self.head(Role::Request)?.is_none() {
            return Ok(None);
        }
        Ok(self.recognised.map(|(dialect, operation)| match attribute {
            Attribute::InferenceDialect => borrowed(dialect.name()),
            _ => borrowed(operation.name()),
        }))
    }

    fn of_inference(&self, attribute: Attribute) -> Result<Option<Value<'a>>, Fault> {
        if let Some(asked) = self.asked.filter(|_| attribute.is_of_request()) {
            // What the request does not say the response may.
            return match asked.inference {
                Some(inference) => of_inference(attribute, inference).map(Some).ok_or(Fault::Unknown),
                None => Ok(None),
            };
        }
        match (self.inference, self.over) {
            (Some(inference), _) => Ok(of_inference(attribute, inference)),
            (None, Some(_)) => Ok(None),
            // A request that asks nothing of a model server will not turn out to be an inference.
            (None, None) if self.recognised.is_none() && self.request.is_some() => Ok(None),
            (None, None) => Err(Fault::Unknown),
        }
    }
}

fn of_exchange(attribute: Attribute, exchange: &Exchange) -> Option<Value<'_>> {
    use Attribute as A;
    let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
    let messages = |part: Option<&Part>| Some(int(part?.pieces.as_ref()?.count));
    match attribute {
        A::RequestTime => request.map(|part| time(part.first_byte)),
        A::RequestSize => request.map(|part| int(part.body_size)),
        A::RequestMessages => messages(request),
        A::RequestTrailers => request.map(|part| map(&part.trailers)),
        A::RequestDuration | A::Duration => exchange.duration().map(duration),
        A::ResponseTrailers => response.map(|part| map(&part.trailers)),
        A::ResponseGrpcStatus => exchange.rpc()?.status.map(|status| Value::Int(status.into())),
        A::ResponseSize => response.map(|part| int(part.body_size)),
        A::ResponseMessages => messages(response),
        A::ResponseBackendLatency => Some(duration(response?.first_byte.since(request?.first_byte))),
        A::ResponseDuration => response.map(|part| duration(part.last_byte.since(part.first_byte))),
        A::Complete => Some(Value::Bool(exchange.complete())),
        A::Anomalies => Some(list(exchange.anomalies.iter().map(Anomaly::name))),
        _ => None,
    }
}

fn of_inference<'a>(attribute: Attribute, inference: &'a Inference) -> Option<Value<'a>> {
    use Attribute as A;
    let (usage, timing) = (&inference.usage, &inference.timing);
    let string = |text: &'a Option<String>| text.as_deref().map(borrowed);
    let names = |tensors: &'a [Tensor]| list(tensors.iter().map(|tensor| &*tensor.name));
    match attribute {
        A::InferenceModel => string(&inference.model).or_else(|| string(&inference.response_model)),
        A::InferenceResponseModel => string(&inference.response_model),
        A::InferenceVersion => string(&inference.version),
        A::InferenceId => string(&inference.id),
        A::InferenceTenant => string(&inference.tenant),
        A::InferenceStream => Some(Value::Bool(inference.streamed)),
        A::InferenceBatch => inference.batch.map(int),
        A::InferenceInputs => Some(names(&inference.inputs)),
        A::InferenceOutputs => Some(names(&inference.outputs)),
        A::InferenceParameters => {
            let parameters = inference.parameters.iter().take(ELEMENTS);
            Some(Value::Map(parameters.map(|(name, value)| (Cow::Borrowed(&**name), json(value, 8))).collect()))
        }
        A::InferenceUsageInput => usage.input.map(int),
        A::InferenceUsageOutput => usage.output.map(int),
        A::InferenceUsageTotal => Some(int(usage.input?.saturating_add(usage.output?))),
        A::InferenceUsageCached => usage.cached.map(int),
        A::InferenceUsageReasoning => usage.reasoning.map(int),
        A::InferenceFinishReasons => Some(list(inference.finish_reasons.iter().map(String::as_str))),
        A::InferenceTools => Some(list(inference.tool_calls.iter().map(|ToolCall { name, .. }| name.as_str()))),
        A::InferenceErrorKind => string(&inference.error.as_ref()?.kind),
        A::InferenceErrorMessage => Some(borrowed(&inference.error.as_ref()?.message)),
        A::InferenceTimeToFirstToken => timing.first_token.map(duration),
        A::InferenceTimePerOutputToken => timing.per_output_token.map(duration),
        A::InferenceTimeGeneration => timing.generation.map(duration),
        A::InferenceTimeLongestGap => timing.longest_gap.map(duration),
        A::InferenceChunks => Some(int(timing.chunks)),
        A::InferenceWastedChunks => Some(int(timing.wasted_chunks)),
        A::InferenceUnread => inference.unread.map(|unread| borrowed(unread.name())),
        _ => None,
    }
}

/// The values of all field lines of a name, as RFC 9110 section 5.2 joins them. What is not UTF-8 is replaced.
pub(in crate::policy) fn joined<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    let mut values = fields.get_all(name);
    let first = String::from_utf8_lossy(values.next()?);
    let Some(second) = values.next() else { return Some(first) };
    let mut all = first.into_owned();
    for value in [second].into_iter().chain(values) {
        all.push(',');
        all.push_str(&String::from_utf8_lossy(value));
    }
    Some(Cow::Owned(all))
}

/// By their names in lower case, in the order of their first lines.
fn map(fields: &Fields) -> Value<'_> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut entries: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (name, value) in fields.iter().take(ELEMENTS) {
        let name = name.to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        if let Some((_, values)) = places.get(&name).and_then(|place| entries.get_mut(*place)) {
            values.to_mut().push(',');
            values.to_mut().push_str(&value);
        } else {
            places.insert(name.clone(), entries.len());
            entries.push((Cow::Owned(name), value));
        }
    }
    Value::Map(entries.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

fn json(value: &serde_json::Value, depth: u8) -> Value<'_> {
    use serde_json::Value as Json;
    match value {
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            (None, None) => number.as_f64().map_or(Value::Null, Value::Double),
        },
        Json::String(text) => borrowed(text),
        Json::Array(values) if depth > 0 => {
            Value::List(values.iter().take(ELEMENTS).map(|value| json(value, depth - 1)).collect())
        }
        Json::Object(entries) if depth > 0 => {
            let entries = entries.iter().take(ELEMENTS);
            Value::Map(entries.map(|(key, value)| (Cow::Borrowed(&**key), json(value, depth - 1))).collect())
        }
        Json::Null | Json::Array(_) | Json::Object(_) => Value::Null,
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

const fn borrowed(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

const fn text(text: String) -> Value<'static> {
    Value::String(Cow::Owned(text))
}

fn address(address: IpAddr) -> Value<'static> {
    text(address.to_string())
}

fn int(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn duration(duration: Duration) -> Value<'static> {
    Value::Duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

const fn time(time: Timestamp) -> Value<'static> {
    Value::Timestamp(time.as_nanos())
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Value<'a> {
    Value::List(texts.take(ELEMENTS).map(borrowed).collect())
}

fn process_name(peer: &Peer) -> Option<Value<'_>> {
    peer.process.as_ref().map(|process| borrowed(&process.command))
}

fn process_pid(peer: &Peer) -> Option<Value<'_>> {
    peer.process.as_ref().map(|process| Value::Int(process.pid.into()))
}

fn pod_uid(container: Option<&Container>) -> Option<Value<'_>> {
    container?.pod.as_ref().map(|pod| borrowed(&pod.uid))
}

fn pod_qos(container: Option<&Container>) -> Option<Value<'_>> {
    container?.pod.as_ref()?.qos.map(|qos| borrowed(qos.name()))
}
