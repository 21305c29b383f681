//! Kafka: records as lines of JSON, keyed by model, written with acks=all (<https://kafka.apache.org/protocol>).

mod cluster;
mod message;
mod partition;
mod produce;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use rskafka::protocol::record::RecordBatchCompression;
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use self::{
    cluster::{Cluster, Leaders},
    message::Writer,
    produce::{Fate, Lane, Manner, Outcome},
};
use super::delivery::{Attempt, Deliver};
use crate::{
    config::{self, KafkaCompression},
    model::Record,
};

/// The variable that holds the password, where no file does.
pub const PASSWORD: &str = "INTERCEPTOR_KAFKA_PASSWORD";
/// Bytes of a chunk, not compressed: half of what a topic takes by default (`max.message.bytes`).
const CHUNK: usize = 512 << 10;

/// Writes records to a topic.
pub struct Kafka {
    cluster: Cluster,
    writer: Writer,
    topic: Arc<str>,
    compression: RecordBatchCompression,
    timeout: Duration,
    /// Bytes of a chunk; less where the topic took less.
    chunk: usize,
    /// Records without a key go to the partitions in turn, a batch each.
    turn: u32,
    /// Until then the brokers asked us to wait.
    muted: Option<Instant>,
}

/// Records of one partition, by chunk, in order.
type Sent = BTreeMap<i32, VecDeque<Vec<Arc<Record>>>>;

impl Kafka {
    /// As configured. `variable` is what [`PASSWORD`] holds.
    pub fn new(config: &config::Kafka, variable: Option<String>) -> anyhow::Result<Self> {
        let password = match &config.password_file.0 {
            None => variable,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the password of Kafka from {}", path.display()))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
        };
        Ok(Self {
            cluster: Cluster::new(config, password)?,
            writer: Writer::new(config.contents.0),
            topic: config.topic.as_str().into(),
            compression: match config.compression {
                KafkaCompression::None => RecordBatchCompression::NoCompression,
                KafkaCompression::Snappy => RecordBatchCompression::Snappy,
                KafkaCompression::Zstd => RecordBatchCompression::Zstd,
            },
            timeout: config.timeout.0,
            chunk: CHUNK,
            turn: 0,
            muted: None,
        })
    }

    /// Has it a line of its own?
    pub fn wants(record: &Record) -> bool {
        match record {
            Record::Exchange(_) | Record::Drift(_) | Record::Edge(_) => true,
            Record::Flow(flow) => flow.unseen(),
            Record::Message(_) => false,
        }
    }

    /// Divides a batch by partition, and what goes to one into chunks.
    fn divide(&mut self, batch: Vec<Arc<Record>>, leaders: &Leaders, attempt: &mut Attempt) -> (Sent, Vec<Lane>) {
        let count = i32::try_from(leaders.len()).unwrap_or(i32::MAX);
        self.turn = self.turn.wrapping_add(1);
        let (mut sent, mut lanes) = (Sent::new(), BTreeMap::<i32, Lane>::new());
        let mut sizes = HashMap::<i32, usize>::new();
        for record in batch {
            let message = match self.writer.message(&record) {
                Ok(message) => message,
                Err(error) => {
                    attempt.refused += 1;
                    attempt.error = Some(error);
                    continue;
                }
            };
            let in_turn = || (self.turn & 0x7fff_ffff).cast_signed().checked_rem(count).unwrap_or(0);
            let partition = message.key().map_or_else(in_turn, |key| partition::of(key, count));
            let chunks = sent.entry(partition).or_default();
            let lane = lanes.entry(partition).or_insert_with(|| Lane { partition, chunks: VecDeque::new() });
            let size = sizes.entry(partition).or_default();
            *size += message.size();
            match (chunks.back_mut(), lane.chunks.back_mut()) {
                (Some(records), Some(messages)) if *size <= self.chunk => {
                    records.push(record);
                    messages.push(message);
                }
                _ => {
                    *size = message.size();
                    chunks.push_back(vec![record]);
                    lane.chunks.push_back(vec![message]);
                }
            }
        }
        (sent, lanes.into_values().collect())
    }

    /// Sends lanes to those who lead their partitions, at the same time.
    async fn send(&mut self, lanes: Vec<Lane>, leaders: &Leaders, attempt: &mut Attempt) -> Vec<(Arc<str>, Outcome)> {
        let mut by_leader = HashMap::<Arc<str>, Vec<Lane>>::new();
        for lane in lanes {
            if let Some(leader) = leaders.get(&lane.partition).cloned().flatten() {
                by_leader.entry(leader).or_default().push(lane);
            } else {
                attempt.error = Some(anyhow!("partition {} has no leader", lane.partition));
                self.cluster.forget();
            }
        }
        let manner = Manner {
            topic: Arc::clone(&self.topic),
            compression: self.compression,
            deadline: Instant::now() + self.timeout,
        };
        let mut sending = JoinSet::new();
        for (broker, lanes) in by_leader {
            match self.cluster.connection(&broker).await {
                Ok(connection) => {
                    let manner = manner.clone();
                    sending.spawn(async move { (broker, produce::produce(connection, lanes, manner).await) });
                }
                Err(error) => {
                    attempt.error = Some(error.context(format!("broker {broker}")));
                    self.cluster.drop_connection(&broker);
                }
            }
        }
        let mut outcomes = Vec::new();
        while let Some(ended) = sending.join_next().await {
            match ended {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => attempt.error = Some(error.into()),
            }
        }
        outcomes
    }

    /// Enters what one leader said.
    fn enter(&mut self, broker: &str, outcome: Outcome, sent: &mut Sent, attempt: &mut Attempt) {
        let Outcome { fates, error, broken, stale, throttled } = outcome;
        for (partition, fate) in fates {
            let chunks = sent.entry(partition).or_default();
            let records = chunks.front().map_or(0, Vec::len) as u64;
            match fate {
                Fate::Written => {
                    attempt.delivered += records;
                    // One record that was too large for a topic does not make all that follow go one by one.
                    self.chunk = (self.chunk * 2).min(CHUNK);
                }
                Fate::Refused => attempt.refused += records,
                Fate::TooLarge => {
                    self.chunk = (self.chunk / 2).max(1);
                    continue;
                }
            }
            chunks.pop_front();
        }
        if let Some(error) = error {
            attempt.error = Some(error.context(format!("broker {broker}")));
        }
        if broken {
            self.cluster.drop_connection(broker);
        } else if stale {
            self.cluster.forget();
        }
        if !throttled.is_zero() {
            self.muted = Some(Instant::now() + throttled.min(self.timeout));
        }
    }
}

impl Deliver for Kafka {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        if let Some(muted) = self.muted.take() {
            time::sleep_until(muted).await;
        }
        let leaders = match time::timeout(self.timeout, self.cluster.leaders()).await {
            Ok(Ok(leaders)) => leaders,
            Ok(Err(error)) => return Attempt::later(batch, error),
            Err(_) => return Attempt::later(batch, anyhow!("no broker says in time who leads the topic's partitions")),
        };
        let mut attempt = Attempt::default();
        let (mut sent, lanes) = self.divide(batch, &leaders, &mut attempt);
        for (broker, outcome) in self.send(lanes, &leaders, &mut attempt).await {
            self.enter(&broker, outcome, &mut sent, &mut attempt);
        }
        attempt.left.extend(sent.into_values().flatten().flatten());
        attempt
    }
}
