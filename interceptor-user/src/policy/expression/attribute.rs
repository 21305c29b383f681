//! What expressions can ask for: Envoy's attributes where it has them, ours in their style where not.

use super::value::Type;
use crate::model::{Anomaly, Dialect, Operation};

/// When something is known of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// As its flow opens.
    Flow,
    /// With the request's head.
    Request,
    /// With the request's head, as far as that tells what is asked.
    Recognised,
    /// With the response's head.
    Response,
    /// When it is over.
    End,
    /// When it is over, and its contents were kept and read.
    Content,
}

impl Stage {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flow => "connection",
            Self::Request | Self::Recognised => "request head",
            Self::Response => "response head",
            Self::End => "end",
            Self::Content => "content",
        }
    }
}

macro_rules! attributes {
    ($($name:ident = $path:literal: $type:expr, $stage:ident, $doc:literal;)*) => {
        /// Something that is known of an exchange.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each has its text beside it, which `policy explain` prints")]
        pub enum Attribute { $($name,)* }

        impl Attribute {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// What it gives.
            pub const fn kind(self) -> Type {
                match self { $(Self::$name => $type,)* }
            }

            /// When it is known.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$name => Stage::$stage,)* }
            }

            /// What it is.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

const STRINGS: Type = Type::List(&Type::String);
const TEXTS: Type = Type::Map(&Type::String);

attributes! {
    RequestMethod = "request.method": Type::String, Request, "method, as sent";
    RequestPath = "request.path": Type::String, Request, "target as sent: path and query";
    RequestUrlPath = "request.url_path": Type::String, Request, "path without the query";
    RequestQuery = "request.query": Type::String, Request, "query without '?'; empty where there is none";
    RequestHost = "request.host": Type::String, Request, "host that is asked for, with the port if that is given";
    RequestScheme = "request.scheme": Type::String, Request, "scheme of the target, else of the connection: http";
    RequestProtocol = "request.protocol": Type::String, Request, "HTTP/1.0, HTTP/1.1 or HTTP/2";
    RequestHeaders = "request.headers": TEXTS, Request, "header fields by their names in lower case; several of one name joined by ','";
    RequestId = "request.id": Type::String, Request, "x-request-id";
    RequestUseragent = "request.useragent": Type::String, Request, "user-agent";
    RequestReferer = "request.referer": Type::String, Request, "referer";
    RequestTime = "request.time": Type::Timestamp, End, "when its first byte was captured";
    RequestSize = "request.size": Type::Int, End, "content bytes, as sent";
    RequestMessages = "request.messages": Type::Int, End, "messages of a streamed content";
    RequestTrailers = "request.trailers": TEXTS, End, "trailer fields";
    RequestDuration = "request.duration": Type::Duration, End, "from its first byte to the last of the response";
    ResponseCode = "response.code": Type::Int, Response, "status code";
    ResponseHeaders = "response.headers": TEXTS, Response, "header fields, as the request's";
    ResponseProtocol = "response.protocol": Type::String, Response, "as the request's";
    ResponseTrailers = "response.trailers": TEXTS, End, "trailer fields";
    ResponseGrpcStatus = "response.grpc_status": Type::Int, End, "status code of the gRPC call; 0 is OK";
    ResponseSize = "response.size": Type::Int, End, "content bytes, as sent";
    ResponseMessages = "response.messages": Type::Int, End, "messages of a streamed content";
    ResponseBackendLatency = "response.backend_latency": Type::Duration, End, "from the first byte of the request to the first of the response";
    ResponseDuration = "response.duration": Type::Duration, End, "from its first byte to its last";
    SourceAddress = "source.address": Type::String, Flow, "address and port of the client";
    SourceIp = "source.ip": Type::String, Flow, "address of the client";
    SourcePort = "source.port": Type::Int, Flow, "port of the client";
    SourceProcessName = "source.process.name": Type::String, Flow, "its process: comm, 15 bytes at the most";
    SourceProcessPid = "source.process.pid": Type::Int, Flow, "its process's id";
    SourceContainerId = "source.container.id": Type::String, Flow, "its container, by the runtime's id";
    SourcePodUid = "source.pod.uid": Type::String, Flow, "its pod's metadata.uid";
    SourcePodQos = "source.pod.qos": Type::String, Flow, "its pod's class: Guaranteed, Burstable, BestEffort";
    DestinationAddress = "destination.address": Type::String, Flow, "address and port of the server";
    DestinationIp = "destination.ip": Type::String, Flow, "address of the server";
    DestinationPort = "destination.port": Type::Int, Flow, "port of the server";
    DestinationProcessName = "destination.process.name": Type::String, Flow, "as the source's";
    DestinationProcessPid = "destination.process.pid": Type::Int, Flow, "as the source's";
    DestinationContainerId = "destination.container.id": Type::String, Flow, "as the source's";
    DestinationPodUid = "destination.pod.uid": Type::String, Flow, "as the source's";
    DestinationPodQos = "destination.pod.qos": Type::String, Flow, "as the source's";
    ConnectionId = "connection.id": Type::Int, Flow, "as flow.id; Envoy's name for it";
    FlowId = "flow.id": Type::Int, Flow, "number of the connection in this run; the first is 1";
    FlowZone = "flow.zone": Type::Int, Flow, "inode number of the network namespace; 0 where it is not known";
    FlowInterface = "flow.interface": Type::Int, Flow, "index of the interface; 0 where there is none";
    FlowJoined = "flow.joined": Type::Bool, Flow, "the connection is older than the capture";
    FlowStart = "flow.start": Type::Timestamp, Flow, "when it was first seen";
    Number = "number": Type::Int, Request, "ordinal of the exchange in its connection; the first is 1";
    InferenceDialect = "inference.dialect": Type::String, Recognised, "API that is spoken to a model server";
    InferenceOperation = "inference.operation": Type::String, Recognised, "what is asked of it";
    InferenceModel = "inference.model": Type::String, Content, "model, as the request names it, else the response";
    InferenceResponseModel = "inference.response_model": Type::String, Content, "model, as the response names it";
    InferenceVersion = "inference.version": Type::String, Content, "its version";
    InferenceId = "inference.id": Type::String, Content, "id that request or response give";
    InferenceTenant = "inference.tenant": Type::String, Content, "on whose behalf; unverified";
    InferenceStream = "inference.stream": Type::Bool, Content, "the answer came in messages as it was made";
    InferenceBatch = "inference.batch": Type::Int, Content, "inputs that are worked on together";
    InferenceInputs = "inference.inputs": STRINGS, Content, "names of the inputs";
    InferenceOutputs = "inference.outputs": STRINGS, Content, "names of the outputs";
    InferenceParameters = "inference.parameters": Type::Map(&Type::Dyn), Content, "parameters of the request: temperature, max_tokens";
    InferenceUsageInput = "inference.usage.input": Type::Int, Content, "tokens of prompts";
    InferenceUsageOutput = "inference.usage.output": Type::Int, Content, "tokens generated";
    InferenceUsageTotal = "inference.usage.total": Type::Int, Content, "both together, where both are known";
    InferenceUsageCached = "inference.usage.cached": Type::Int, Content, "of those of prompts: read from a cache";
    InferenceUsageReasoning = "inference.usage.reasoning": Type::Int, Content, "of those generated: not shown, but thought";
    InferenceFinishReasons = "inference.finish_reasons": STRINGS, Content, "why the model stopped, one for each answer";
    InferenceTools = "inference.tools": STRINGS, Content, "names of the tools that the answer calls";
    InferenceErrorKind = "inference.error.kind": Type::String, Content, "kind or code of the error that the content tells";
    InferenceErrorMessage = "inference.error.message": Type::String, Content, "its message";
    InferenceTimeToFirstToken = "inference.timing.first_token": Type::Duration, Content, "from the end of the request to the first message that was generated";
    InferenceTimePerOutputToken = "inference.timing.per_output_token": Type::Duration, Content, "for each token but the first";
    InferenceTimeGeneration = "inference.timing.generation": Type::Duration, Content, "from the first message that was generated to the last";
    InferenceTimeLongestGap = "inference.timing.longest_gap": Type::Duration, Content, "between two of them";
    InferenceChunks = "inference.timing.chunks": Type::Int, Content, "messages that were generated";
    InferenceWastedChunks = "inference.timing.wasted_chunks": Type::Int, Content, "of them: after the client was gone";
    InferenceUnread = "inference.unread": Type::String, Content, "why not all of it was read";
    Complete = "complete": Type::Bool, End, "both messages were captured from their first byte to their last";
    Anomalies = "anomalies": STRINGS, End, "what is odd about the exchange";
    Duration = "duration": Type::Duration, End, "as request.duration";
}

impl Attribute {
    /// By its path.
    pub(super) fn named(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|attribute| attribute.path() == path)
    }

    /// Is this the beginning of longer paths: `request`, `inference.usage`?
    pub(super) fn is_prefix(path: &str) -> bool {
        Self::below(path).next().is_some()
    }

    /// What comes after this beginning.
    pub(super) fn below(path: &str) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter_map(move |attribute| {
            let rest = attribute.path().strip_prefix(path)?.strip_prefix('.')?;
            rest.split('.').next()
        })
    }

    /// Does the whole request tell it, before there is a response?
    pub(super) const fn is_of_request(self) -> bool {
        match self.stage() {
            Stage::Flow | Stage::Request | Stage::Recognised => true,
            Stage::Response => false,
            Stage::End | Stage::Content => matches!(
                self,
                Self::RequestTime
                    | Self::RequestSize
                    | Self::RequestMessages
                    | Self::RequestTrailers
                    | Self::InferenceModel
                    | Self::InferenceVersion
                    | Self::InferenceId
                    | Self::InferenceBatch
                    | Self::InferenceInputs
                    | Self::InferenceParameters
            ),
        }
    }

    /// The only values that it can have, where these are few.
    pub fn allowed(self) -> Option<Vec<&'static str>> {
        Some(match self {
            Self::InferenceDialect => Dialect::ALL.map(Dialect::name).to_vec(),
            Self::InferenceOperation => Operation::ALL.map(Operation::name).to_vec(),
            Self::Anomalies => Anomaly::ALL.map(Anomaly::name).to_vec(),
            Self::RequestProtocol | Self::ResponseProtocol => vec!["HTTP/1.0", "HTTP/1.1", "HTTP/2"],
            Self::SourcePodQos | Self::DestinationPodQos => vec!["Guaranteed", "Burstable", "BestEffort"],
            _ => return None,
        })
    }
}
