//! What goes to one leader: chunks of its partitions, in order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::anyhow;
use rskafka::protocol::{
    error::Error as Code,
    messages::{ProduceRequest, ProduceRequestPartitionData, ProduceRequestTopicData, ProduceResponse},
    primitives::{Int16, Int32, NullableString, Records, String_},
    record::{ControlBatchOrRecords, RecordBatch, RecordBatchCompression, RecordBatchTimestampType},
};
use tokio::time::{self, Instant};

use super::{cluster::Connection, message::Message};

/// Chunks of one partition.
pub(super) struct Lane {
    pub(super) partition: i32,
    pub(super) chunks: VecDeque<Vec<Message>>,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written.
    Written,
    /// It will never be taken.
    Refused,
    /// It is larger than this topic takes, and could be divided.
    TooLarge,
}

/// What came of all.
#[derive(Default)]
pub(super) struct Outcome {
    /// Of the first chunks of each lane, by partition; of those that follow nothing is known to have arrived.
    pub(super) fates: Vec<(i32, Fate)>,
    pub(super) error: Option<anyhow::Error>,
    /// The connection cannot be used any more.
    pub(super) broken: bool,
    /// Who leads what has changed.
    pub(super) stale: bool,
    /// How long the broker asks to wait.
    pub(super) throttled: Duration,
}

/// How it is written.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) topic: Arc<str>,
    pub(super) compression: RecordBatchCompression,
    pub(super) deadline: Instant,
}

/// Writes all, a chunk of each partition at a time. A partition in which one fails is left alone from there on, so that its
/// order is kept.
pub(super) async fn produce(connection: Arc<Connection>, mut lanes: Vec<Lane>, manner: Manner) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let round: Vec<(i32, Vec<Message>)> =
            lanes.iter_mut().filter_map(|lane| Some((lane.partition, lane.chunks.pop_front()?))).collect();
        let left = manner.deadline.saturating_duration_since(Instant::now());
        if round.is_empty() {
            return outcome;
        }
        let sizes: Vec<(i32, usize)> = round.iter().map(|(partition, chunk)| (*partition, chunk.len())).collect();
        let response = match time::timeout(left, connection.produce(request(round, &manner, left))).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                outcome.error = Some(error.context("cannot write"));
                outcome.broken = true;
                return outcome;
            }
            Err(_) => {
                outcome.error = Some(anyhow!("the broker does not answer in time"));
                outcome.broken = true;
                return outcome;
            }
        };
        outcome.enter(&response, &sizes, &mut lanes);
    }
}

impl Outcome {
    fn enter(&mut self, response: &ProduceResponse, sizes: &[(i32, usize)], lanes: &mut Vec<Lane>) {
        let throttled = response.throttle_time_ms.map_or(0, |time| time.0);
        self.throttled = self.throttled.max(Duration::from_millis(u64::try_from(throttled).unwrap_or(0)));
        for (partition, records) in sizes {
            let mut told = response.responses.iter().flat_map(|topic| &topic.partition_responses);
            let error = match told.find(|one| one.index.0 == *partition) {
                Some(one) => one.error,
                None => Some(Code::UnknownServerError),
            };
            match error {
                None => self.fates.push((*partition, Fate::Written)),
                Some(code) => {
                    let fate = fate(code, *records);
                    self.error = Some(anyhow!("partition {partition}: {code:?}"));
                    self.fates.extend(fate.map(|fate| (*partition, fate)));
                    self.stale |= fate.is_none();
                    if fate != Some(Fate::Refused) {
                        lanes.retain(|lane| lane.partition != *partition);
                    }
                }
            }
        }
    }
}

/// None where it may be taken later, which is so for all that can change: leaders, rights, disks.
fn fate(code: Code, records: usize) -> Option<Fate> {
    match code {
        Code::MessageTooLarge | Code::RecordListTooLarge | Code::InvalidRecord if records > 1 => Some(Fate::TooLarge),
        Code::MessageTooLarge | Code::RecordListTooLarge | Code::InvalidRecord | Code::InvalidTimestamp => {
            Some(Fate::Refused)
        }
        _ => None,
    }
}

fn request(round: Vec<(i32, Vec<Message>)>, manner: &Manner, left: Duration) -> ProduceRequest {
    let partition_data = round
        .into_iter()
        .map(|(partition, chunk)| ProduceRequestPartitionData {
            index: Int32(partition),
            records: Records(vec![batch(chunk, manner.compression)]),
        })
        .collect();
    ProduceRequest {
        transactional_id: NullableString(None),
        // All replicas that are in sync have it.
        acks: Int16(-1),
        timeout_ms: Int32(i32::try_from(left.as_millis()).unwrap_or(i32::MAX)),
        topic_data: vec![ProduceRequestTopicData { name: String_(manner.topic.to_string()), partition_data }],
    }
}

/// Record batch of version 2 (KIP-98), without a producer's id: nothing tells a broker that it has it already.
fn batch(chunk: Vec<Message>, compression: RecordBatchCompression) -> RecordBatch {
    let first = chunk.first().map_or(0, |message| message.time);
    let last = chunk.iter().map(|message| message.time).max().unwrap_or(first);
    let records: Vec<_> = chunk.into_iter().enumerate().map(|(index, message)| message.encoded(index, first)).collect();
    RecordBatch {
        base_offset: 0,
        partition_leader_epoch: 0,
        last_offset_delta: i32::try_from(records.len()).unwrap_or(i32::MAX) - 1,
        first_timestamp: first,
        max_timestamp: last,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records: ControlBatchOrRecords::Records(records),
        compression,
        is_transactional: false,
        timestamp_type: RecordBatchTimestampType::CreateTime,
    }
}
