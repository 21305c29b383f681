//! The brokers: who they are, which of them leads a partition, and a connection to each. Of rskafka we use the protocol and
//! not its client: that sends again what a broker took and throttled, and does not say so.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use rskafka::{
    client::{Credentials, SaslConfig},
    messenger::Messenger,
    protocol::{
        error::Error as Code,
        messages::{MetadataRequest, MetadataRequestTopic, ProduceRequest, ProduceResponse},
        primitives::String_,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream},
    net::TcpStream,
    time::{self, Instant},
};
use tokio_rustls::TlsConnector;

use crate::{
    config::{self, KafkaSasl},
    sink::http,
};

/// Answers are this long at the most: they hold names and numbers.
const ANSWER_MAX: usize = 16 << 20;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// After this time it is asked again which partitions there are.
const FRESH: Duration = Duration::from_mins(1);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to one broker.
pub(super) struct Connection(Messenger<BufStream<Box<dyn Stream>>>);

impl Connection {
    pub(super) async fn produce(&self, request: ProduceRequest) -> anyhow::Result<ProduceResponse> {
        Ok(self.0.request(request).await?)
    }
}

/// Who leads which partition; None where there is no leader.
pub(super) type Leaders = BTreeMap<i32, Option<Arc<str>>>;

/// The cluster, as it is known.
pub(super) struct Cluster {
    bootstrap: Vec<Arc<str>>,
    topic: String,
    client_id: Arc<str>,
    tls: Option<Arc<ClientConfig>>,
    sasl: Option<SaslConfig>,
    timeout: Duration,
    connections: HashMap<Arc<str>, Arc<Connection>>,
    /// Brokers, as a broker named them.
    known: Vec<Arc<str>>,
    leaders: Option<(Instant, Arc<Leaders>)>,
}

impl Cluster {
    pub(super) fn new(config: &config::Kafka, password: Option<String>) -> anyhow::Result<Self> {
        let sasl = match config.sasl {
            KafkaSasl::None => None,
            mechanism => {
                let password = password
                    .context("kafka.sasl takes a password: name its file with kafka.password_file, or set INTERCEPTOR_KAFKA_PASSWORD")?;
                let credentials = Credentials::new(config.username.clone(), password);
                Some(match mechanism {
                    KafkaSasl::ScramSha256 => SaslConfig::ScramSha256(credentials),
                    KafkaSasl::ScramSha512 => SaslConfig::ScramSha512(credentials),
                    KafkaSasl::Plain | KafkaSasl::None => SaslConfig::Plain(credentials),
                })
            }
        };
        Ok(Self {
            bootstrap: config.brokers.iter().map(|broker| broker.0.as_str().into()).collect(),
            topic: config.topic.clone(),
            client_id: config.client_id.as_str().into(),
            tls: config.tls.0.then(|| tls(config.certificate.0.as_deref())).transpose()?,
            sasl,
            timeout: config.timeout.0,
            connections: HashMap::new(),
            known: Vec::new(),
            leaders: None,
        })
    }

    /// What is known of partitions and brokers is not to be relied on.
    pub(super) fn forget(&mut self) {
        self.leaders = None;
    }

    /// This connection is of no use any more.
    pub(super) fn drop_connection(&mut self, broker: &str) {
        self.connections.remove(broker);
        self.forget();
    }

    /// The partitions of the topic and who leads them, asked for where that is not known or was long ago.
    pub(super) async fn leaders(&mut self) -> anyhow::Result<Arc<Leaders>> {
        if let Some((asked, leaders)) = &self.leaders
            && asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(leaders));
        }
        let mut last = None;
        // First those that are known, and connected; those of the configuration for when all of them have moved.
        let mut brokers: Vec<Arc<str>> = self.connections.keys().cloned().collect();
        brokers.extend(self.known.iter().chain(&self.bootstrap).cloned());
        let mut tried = Vec::new();
        for broker in brokers {
            if tried.contains(&broker) {
                continue;
            }
            match self.ask(&broker).await {
                Ok(leaders) => {
                    let leaders = Arc::new(leaders);
                    self.leaders = Some((Instant::now(), Arc::clone(&leaders)));
                    return Ok(leaders);
                }
                Err(error) => {
                    self.drop_connection(&broker);
                    last = Some(error.context(format!("broker {broker}")));
                }
            }
            tried.push(broker);
        }
        Err(last.unwrap_or_else(|| anyhow!("there is no broker")))
    }

    async fn ask(&mut self, broker: &Arc<str>) -> anyhow::Result<Leaders> {
        let connection = self.connection(broker).await?;
        let topics = Some(vec![MetadataRequestTopic { name: String_(self.topic.clone()) }]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: None };
        let answer = time::timeout(self.timeout, connection.0.request(request)).await.context("does not answer")??;
        let address = |host: &str, port: i32| -> Arc<str> {
            let bracketed = host.contains(':') && !host.starts_with('[');
            if bracketed { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() }
        };
        let brokers: HashMap<i32, Arc<str>> =
            answer.brokers.iter().map(|broker| (broker.node_id.0, address(&broker.host.0, broker.port.0))).collect();
        self.known = brokers.values().cloned().collect();
        let known = |broker: &Arc<str>| self.known.contains(broker) || self.bootstrap.contains(broker);
        self.connections.retain(|broker, _| known(broker));
        let topic =
            answer.topics.into_iter().find(|topic| topic.name.0 == self.topic).context("does not tell the topic")?;
        if let Some(error) = topic.error {
            bail!("topic {}: {error:?}", self.topic);
        }
        if topic.partitions.is_empty() {
            bail!("topic {} has no partition", self.topic);
        }
        let leader = |error: Option<Code>, id: i32| {
            // Of a partition some replicas of which are gone the leader is still there.
            let led = matches!(error, None | Some(Code::ReplicaNotAvailable));
            brokers.get(&id).filter(|_| led).cloned()
        };
        Ok(topic.partitions.iter().map(|one| (one.partition_index.0, leader(one.error, one.leader_id.0))).collect())
    }

    /// A connection to this broker: the one that there is, or a new one.
    pub(super) async fn connection(&mut self, broker: &Arc<str>) -> anyhow::Result<Arc<Connection>> {
        if let Some(connection) = self.connections.get(broker) {
            return Ok(Arc::clone(connection));
        }
        let limit = CONNECT.min(self.timeout);
        let made = time::timeout(limit, self.connect(broker)).await.context("takes too long to connect")??;
        let made = Arc::new(made);
        self.connections.insert(Arc::clone(broker), Arc::clone(&made));
        Ok(made)
    }

    async fn connect(&self, broker: &str) -> anyhow::Result<Connection> {
        let tcp = TcpStream::connect(broker).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host).trim_matches(['[', ']']);
                let name = ServerName::try_from(host.to_owned()).context("is no name for TLS")?;
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, tcp).await.context("cannot agree on TLS")?)
            }
        };
        let mut messenger = Messenger::new(BufStream::new(stream), ANSWER_MAX, Arc::clone(&self.client_id));
        messenger.sync_versions().await.context("is no broker that we understand")?;
        if let Some(sasl) = &self.sasl {
            messenger.do_sasl(sasl.clone()).await.context("cannot authenticate")?;
        }
        Ok(Connection(messenger))
    }
}

fn tls(authority: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    http::secure();
    let mut roots = RootCertStore::empty();
    if let Some(path) = authority {
        let told = || format!("{} holds no certificate in PEM format", path.display());
        for certificate in CertificateDer::pem_file_iter(path).with_context(told)? {
            roots.add(certificate.with_context(told)?).with_context(told)?;
        }
        if roots.is_empty() {
            return Err(io::Error::from(io::ErrorKind::InvalidData)).with_context(told);
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
