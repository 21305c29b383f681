use std::{io::Write as _, str::FromStr as _, sync::OnceLock};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tonic::{
    Request,
    client::Grpc,
    codec::CompressionEncoding,
    codegen::http::uri::PathAndQuery,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{Protocol, Service, Target, status};
use crate::sink::http::{self, Refusal};

/// Responses longer than this are not read: they hold a count and a sentence.
const RESPONSE_MAX: usize = 64 << 10;

/// What a request that was taken came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Records that were refused for good.
    pub refused: u64,
    /// Why, or a warning where none was.
    pub message: String,
}

/// Sends the requests of one signal. It connects with the first one.
pub struct Client<Q: 'static, A: 'static> {
    service: &'static Service<Q, A>,
    headers: HeaderMap,
    gzip: bool,
    transport: Transport,
}

enum Transport {
    /// The channel is made by the first call: that takes a runtime.
    Grpc(Box<Endpoint>, OnceLock<Channel>),
    Http {
        client: reqwest::Client,
        url: String,
    },
}

impl<Q: Message + Clone + Default, A: Message + Default> Client<Q, A> {
    /// For this target. Certificates are read here, and what is wrong with the configuration is told.
    pub fn new(service: &'static Service<Q, A>, target: &Target) -> anyhow::Result<Self> {
        let transport = match target.protocol {
            Protocol::Grpc => Transport::Grpc(Box::new(endpoint(target)?), OnceLock::new()),
            Protocol::Http => Transport::Http {
                client: http::client(target.timeout, target.authority.as_deref())?,
                url: target.url.clone(),
            },
        };
        Ok(Self { service, headers: headers(&target.headers)?, gzip: target.gzip, transport })
    }

    /// Sends one request, once.
    pub async fn send(&self, request: &Q) -> Result<Sent, Refusal> {
        let response = match &self.transport {
            Transport::Grpc(endpoint, channel) => {
                let channel = channel.get_or_init(|| endpoint.connect_lazy()).clone();
                self.call(channel, request.clone()).await?
            }
            Transport::Http { client, url } => self.post(client, url, request).await?,
        };
        let (refused, message) = (self.service.refused)(&response).unwrap_or_default();
        Ok(Sent { refused, message: message.to_owned() })
    }

    async fn call(&self, channel: Channel, message: Q) -> Result<A, Refusal> {
        let mut client = Grpc::new(channel);
        if self.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        let unreachable = |error| Refusal::Later(anyhow::Error::new(error).context("cannot connect"), None);
        client.ready().await.map_err(unreachable)?;
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let codec = ProstCodec::<Q, A>::default();
        match client.unary(request, PathAndQuery::from_static(self.service.grpc), codec).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(status::refusal(&status)),
        }
    }

    async fn post(&self, client: &reqwest::Client, url: &str, message: &Q) -> Result<A, Refusal> {
        let body = message.encode_to_vec();
        let mut request = client.post(url).headers(self.headers.clone()).header(CONTENT_TYPE, "application/x-protobuf");
        let body = if self.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
            gzip(&body).map_err(Refusal::Never)?
        } else {
            body
        };
        let response = http::judged(request.body(body).send().await)?;
        // That it was taken is what counts; a body that cannot be read adds nothing.
        Ok(small(response).await.and_then(|body| A::decode(body).ok()).unwrap_or_default())
    }
}

async fn small(mut response: reqwest::Response) -> Option<Bytes> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > RESPONSE_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body.into())
}

fn gzip(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

fn headers(given: &[(String, String)]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let key = HeaderName::from_str(name).with_context(|| format!("`{name}` is no name of a header field"))?;
        let mut value = HeaderValue::from_str(value)
            .with_context(|| format!("the value of `{name}` holds what no header field may"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn endpoint(target: &Target) -> anyhow::Result<Endpoint> {
    http::secure();
    let endpoint = Endpoint::from_shared(target.url.clone())
        .with_context(|| format!("`{}` is no URL of an OTLP endpoint", target.url))?
        .timeout(target.timeout)
        .connect_timeout(target.timeout);
    if !target.url.starts_with("https:") {
        return Ok(endpoint);
    }
    let tls = match &target.authority {
        None => ClientTlsConfig::new().with_native_roots(),
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| format!("cannot read the certificate {}", path.display()))?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
    };
    Ok(endpoint.tls_config(tls)?)
}
