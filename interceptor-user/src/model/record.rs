use std::sync::Arc;

use super::{
    Anomalies, Anomaly, DriftRecord, EdgeRecord, Exchange, FlowEnd, FlowInfo, Format, Ledger, LossReason, Piece, Role,
    Side, Sinks, Timestamp, TlsHello,
};

/// What a flow speaks, as far as it was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// WebSocket, after an HTTP/1 exchange or in an HTTP/2 stream.
    WebSocket,
    /// Tunnelled or upgraded after an HTTP/1 exchange.
    Tunnel,
    /// Nothing that we decode or recognise.
    Unknown,
    /// TLS, whatever it carries.
    Tls,
    /// Redis (RESP).
    Redis,
    /// PostgreSQL.
    Postgresql,
    /// Kafka.
    Kafka,
    /// MySQL, MariaDB.
    Mysql,
    /// MongoDB.
    Mongodb,
    /// Memcached.
    Memcached,
    /// AMQP.
    Amqp,
    /// MQTT.
    Mqtt,
    /// SSH.
    Ssh,
    /// SMTP, LMTP.
    Smtp,
}

impl Protocol {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 16] = [
        Self::Http1,
        Self::Http2,
        Self::WebSocket,
        Self::Tunnel,
        Self::Unknown,
        Self::Tls,
        Self::Redis,
        Self::Postgresql,
        Self::Kafka,
        Self::Mysql,
        Self::Mongodb,
        Self::Memcached,
        Self::Amqp,
        Self::Mqtt,
        Self::Ssh,
        Self::Smtp,
    ];

    /// `network.protocol.name`, or `opaque`, which is none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 | Self::Http2 => "http",
            Self::WebSocket => "websocket",
            Self::Tunnel => "tunnel",
            Self::Unknown => "opaque",
            Self::Tls => "tls",
            Self::Redis => "redis",
            Self::Postgresql => "postgresql",
            Self::Kafka => "kafka",
            Self::Mysql => "mysql",
            Self::Mongodb => "mongodb",
            Self::Memcached => "memcached",
            Self::Amqp => "amqp",
            Self::Mqtt => "mqtt",
            Self::Ssh => "ssh",
            Self::Smtp => "smtp",
        }
    }
}

/// A flow that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Who and where.
    pub flow: Arc<FlowInfo>,
    /// Why it ended for us.
    pub end: FlowEnd,
    /// When.
    pub time: Timestamp,
    /// What it spoke; where nothing of it was decoded, what its first bytes look like.
    pub protocol: Protocol,
    /// What the hellos of its TLS showed.
    pub tls: Option<Box<TlsHello>>,
    /// Where its bytes went.
    pub ledger: Ledger,
    /// How many exchanges it had.
    pub exchanges: u64,
    /// What was odd about it and concerns no exchange.
    pub anomalies: Anomalies,
}

impl FlowRecord {
    /// It carried something and no exchange shows it.
    pub const fn unseen(&self) -> bool {
        self.exchanges == 0 && !self.silent()
    }

    /// It carried nothing.
    pub const fn silent(&self) -> bool {
        self.ledger.client.carried == 0 && self.ledger.server.carried == 0
    }

    /// All that it carried was captured, from the first byte to the last.
    pub fn complete(&self) -> bool {
        let over = matches!(self.end, FlowEnd::Closed | FlowEnd::Reset);
        over && !self.flow.joined && Side::BOTH.iter().all(|side| self.ledger.side(*side).lost_total() == 0)
    }

    /// What is odd about it as a whole.
    pub fn oddities(&self) -> Anomalies {
        let mut all = self.anomalies;
        let lost = |side: Side| {
            let ledger = self.ledger.side(side);
            ledger.lost_total() > ledger.lost[LossReason::BeforeJoin as usize]
        };
        for (anomaly, is_so) in [
            (Anomaly::Gap, lost(Side::Client) || lost(Side::Server)),
            (Anomaly::MidStream, self.flow.joined),
            (Anomaly::Reset, self.end == FlowEnd::Reset),
        ] {
            if is_so {
                all.insert(anomaly);
            }
        }
        all
    }
}

/// A message of a content, told as soon as it is over, while its exchange is not.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// What was known of the exchange by then: the heads. It holds no message but this one, with its bytes as far as they
    /// are kept.
    pub exchange: Exchange,
    /// Who sent it.
    pub role: Role,
    /// Ordinal in its content; the first is 1.
    pub index: u64,
    /// What divides the content.
    pub format: Format,
    /// What it is.
    pub piece: Piece,
}

/// What a sink receives.
#[derive(Clone, Debug)]
pub enum Record {
    /// An exchange that is over, one way or another.
    Exchange(Box<Exchange>),
    /// A message of an exchange that goes on; only where that was asked for.
    Message(Box<MessageRecord>),
    /// A flow that is over.
    Flow(Box<FlowRecord>),
    /// A feature in a window that is over.
    Drift(Box<DriftRecord>),
    /// Who called whom in an interval that is over.
    Edge(Box<EdgeRecord>),
}

impl Record {
    /// The sinks that get it: of an exchange those that the policy says, of anything else all.
    pub fn sinks(&self) -> Sinks {
        let exchange = match self {
            Self::Exchange(exchange) => exchange,
            Self::Message(message) => &message.exchange,
            Self::Drift(drift) => return drift.sinks,
            Self::Flow(_) | Self::Edge(_) => return Sinks::ALL,
        };
        exchange.verdict.as_ref().map_or(Sinks::ALL, |verdict| verdict.sinks)
    }

    /// About the bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        match self {
            Self::Exchange(exchange) => exchange.memory(),
            Self::Message(message) => message.exchange.memory(),
            Self::Flow(_) => size_of::<FlowRecord>(),
            Self::Drift(_) => size_of::<DriftRecord>(),
            Self::Edge(edge) => size_of::<EdgeRecord>() + edge.client.name.len() + edge.server.name.len(),
        }
    }
}
