use std::{borrow::Cow, fmt, net::IpAddr, time::Duration};

use serde::{Serialize, Serializer};

use super::{
    Options,
    message::{self, Data, Message},
    parts::{Cookie, Pair, cookies, fields, query, set_cookies},
};
use crate::{
    model::{Anomalies, Anomaly, Authority, Exchange, Part, Protocol},
    sink::{
        clock::{Clock, Stamp},
        mask::Mask,
    },
};

/// One exchange.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(serialize_with = "stamp")]
    started_date_time: Stamp,
    time: f64,
    request: Request<'a>,
    response: Response<'a>,
    cache: Empty,
    timings: Timings,
    #[serde(rename = "serverIPAddress")]
    server_ip_address: IpAddr,
    connection: String,
    #[serde(rename = "_complete")]
    complete: bool,
    #[serde(rename = "_anomalies", serialize_with = "names")]
    anomalies: Anomalies,
    #[serde(rename = "_stream", skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    #[serde(rename = "_resourceType", skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'static str>,
    /// As Chrome writes them.
    #[serde(rename = "_webSocketMessages", skip_serializing_if = "Vec::is_empty")]
    web_socket_messages: Vec<Message<'a>>,
    #[serde(rename = "_messages", skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: &'a str,
    url: String,
    http_version: HttpVersion,
    cookies: Vec<Cookie>,
    headers: Vec<Pair<'a>>,
    query_string: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData<'a>>,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_trailers", skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<Pair<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'a> {
    mime_type: Cow<'a, str>,
    params: [(); 0],
    text: Data<'a>,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(rename = "_truncated", skip_serializing_if = "is_false")]
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    /// Zero where there is none, as in browsers.
    status: u16,
    status_text: &'static str,
    http_version: HttpVersion,
    cookies: Vec<Cookie>,
    headers: Vec<Pair<'a>>,
    content: Content<'a>,
    #[serde(rename = "redirectURL")]
    redirect_url: Cow<'a, str>,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_trailers", skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<Pair<'a>>,
    /// Why there is none, as in Chrome.
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<i64>,
    mime_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(rename = "_truncated", skip_serializing_if = "is_false")]
    truncated: bool,
}

/// In milliseconds; together they are the entry's time.
#[derive(Serialize)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

/// Not known.
const UNKNOWN: i64 = -1;

impl<'a> Entry<'a> {
    pub(super) fn new(exchange: &'a Exchange, clock: &mut Clock, options: &'a Options) -> Self {
        let flow = &*exchange.flow;
        let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
        let timings = Timings::of(request, response);
        let start = request.or(response).map_or(flow.start, |part| part.first_byte);
        let is_web_socket = exchange.protocol == Protocol::WebSocket;
        let messages = if options.bodies { message::all(exchange) } else { Vec::new() };
        let (web_socket_messages, messages) =
            if is_web_socket { (messages, Vec::new()) } else { (Vec::new(), messages) };
        Self {
            started_date_time: clock.stamp(start),
            time: timings.send + timings.wait + timings.receive,
            request: Request::new(exchange, options),
            response: Response::new(exchange, options),
            cache: Empty {},
            timings,
            server_ip_address: flow.server.endpoint.ip(),
            connection: flow.id.to_string(),
            complete: exchange.complete(),
            anomalies: exchange.anomalies,
            stream: exchange.stream,
            resource_type: is_web_socket.then_some("websocket"),
            web_socket_messages,
            messages,
        }
    }
}

impl<'a> Request<'a> {
    fn new(exchange: &'a Exchange, options: &'a Options) -> Self {
        let (part, mask) = (exchange.request.as_ref(), &options.mask);
        let target = part.map(Part::target).unwrap_or_default();
        let version = part.or(exchange.response.as_ref()).map(|part| part.head.version.name());
        Self {
            // A method there has to be: it was not seen.
            method: part.and_then(|part| part.head.method()).unwrap_or("UNKNOWN"),
            url: url(exchange, mask),
            http_version: HttpVersion(version),
            cookies: part.map(|part| cookies(&part.head.fields, mask)).unwrap_or_default(),
            headers: part.map(|part| fields(&part.head.fields, mask)).unwrap_or_default(),
            query_string: target.query.map(|text| query(text, mask)).unwrap_or_default(),
            post_data: part.filter(|part| options.bodies && part.content_size() > 0).map(|part| {
                let text = Data::of_part(part);
                PostData {
                    mime_type: mime_type(part),
                    params: [],
                    encoding: text.encoding(),
                    truncated: part.body_cut(),
                    text,
                }
            }),
            headers_size: UNKNOWN,
            body_size: part.map_or(UNKNOWN, |part| part.content_size().cast_signed()),
            trailers: part.map(|part| fields(&part.trailers, mask)).unwrap_or_default(),
        }
    }
}

impl<'a> Response<'a> {
    fn new(exchange: &'a Exchange, options: &'a Options) -> Self {
        let (part, mask) = (exchange.response.as_ref(), &options.mask);
        let version = part.or(exchange.request.as_ref()).map(|part| part.head.version.name());
        let location = part.and_then(|part| part.head.fields.get("location"));
        let reasons = [Anomaly::Reset, Anomaly::StreamReset, Anomaly::Refused, Anomaly::Gap, Anomaly::NoResponse];
        let reason = || reasons.into_iter().find(|reason| exchange.anomalies.contains(*reason)).map(Anomaly::name);
        Self {
            status: part.and_then(|part| part.head.status()).unwrap_or(0),
            status_text: "",
            http_version: HttpVersion(version),
            cookies: part.map(|part| set_cookies(&part.head.fields, mask)).unwrap_or_default(),
            headers: part.map(|part| fields(&part.head.fields, mask)).unwrap_or_default(),
            content: part.map(|part| Content::new(part, options)).unwrap_or_default(),
            redirect_url: location.map(|value| mask.field("location", value)).unwrap_or_default(),
            headers_size: UNKNOWN,
            body_size: part.map_or(UNKNOWN, |part| part.content_size().cast_signed()),
            trailers: part.map(|part| fields(&part.trailers, mask)).unwrap_or_default(),
            error: if part.is_none() { reason() } else { None },
        }
    }
}

impl<'a> Content<'a> {
    fn new(part: &'a Part, options: &'a Options) -> Self {
        let sent = part.content_size();
        let size = if part.decoded.is_some() { part.decoded_size } else { sent };
        let text = (options.bodies && size > 0).then(|| Data::of_part(part));
        Self {
            size,
            compression: part.decoded.map(|_| size.cast_signed().saturating_sub(sent.cast_signed())),
            mime_type: mime_type(part),
            encoding: text.as_ref().and_then(Data::encoding),
            truncated: text.is_some() && part.body_cut(),
            text,
        }
    }
}

impl Timings {
    /// A response may begin before its request is over: then it waits for nothing.
    fn of(request: Option<&Part>, response: Option<&Part>) -> Self {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let receive = response.map_or(0.0, |part| millis(part.last_byte.since(part.first_byte)));
        let Some(request) = request else { return Self { send: 0.0, wait: 0.0, receive } };
        let sent = response.map_or(request.last_byte, |part| part.first_byte.min(request.last_byte));
        let wait = response.map_or(0.0, |part| millis(part.first_byte.since(sent)));
        Self { send: millis(sent.since(request.first_byte)), wait, receive }
    }
}

/// The absolute address, with the server's address where the request names no host.
fn url(exchange: &Exchange, mask: &Mask) -> String {
    let target = exchange.request.as_ref().map(Part::target).unwrap_or_default();
    let server = exchange.flow.server.endpoint;
    let ip = server.ip().to_string();
    let authority = target.authority.unwrap_or(Authority { host: &ip, port: Some(server.port()) });
    let scheme = if exchange.protocol == Protocol::WebSocket { "ws" } else { "http" };
    let path = target.path.map_or(Cow::Borrowed("/"), |path| mask.path(path));
    let query = target.query.map(|query| format!("?{}", mask.query(query))).unwrap_or_default();
    format!("{scheme}://{authority}{path}{query}")
}

fn mime_type(part: &Part) -> Cow<'_, str> {
    part.head.fields.get("content-type").map_or("application/octet-stream".into(), String::from_utf8_lossy)
}

struct HttpVersion(Option<&'static str>);

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(version) => write!(f, "HTTP/{version}"),
            None => f.write_str("unknown"),
        }
    }
}

impl Serialize for HttpVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn stamp<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stamp.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn names<S: Serializer>(anomalies: &Anomalies, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(anomalies.iter().map(Anomaly::name))
}
