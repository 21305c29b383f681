//! CloudEvents 1.0 over HTTP in binary content mode, one for each payload of an inference, as KServe's logger sends them
//! (`pkg/logger` of KServe; CloudEvents HTTP protocol binding 1.0.2, section 3.1).

mod event;
#[cfg(test)]
mod tests;

use std::{str::FromStr as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use reqwest::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::{task::JoinSet, time::Instant};

use self::event::{Event, Source};
use super::{
    clock::Clock,
    delivery::{Attempt, Deliver},
    http::{self, Refusal},
};
use crate::{
    config::{self, EventsIncomplete, EventsMode},
    model::{Exchange, Record, Role},
};

/// Events that are on their way at a time, each of another exchange.
const AT_ONCE: usize = 8;
/// An attempt begins no event after this time: what it has delivered by then is counted.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Posts events.
pub struct Cloudevents {
    client: Client,
    url: reqwest::Url,
    headers: HeaderMap,
    roles: &'static [Role],
    source: Source,
    skip: bool,
    clock: Clock,
    /// Records whose request arrived and whose response is still to be sent. At most [`AT_ONCE`].
    half: Vec<Arc<Record>>,
    /// It was said that payloads are not kept.
    told: bool,
}

/// What came of one record.
struct Done {
    record: Arc<Record>,
    /// Its request has arrived.
    asked: bool,
    result: Result<(), Refusal>,
}

/// Why there is no event.
#[derive(Debug, thiserror::Error)]
enum Lack {
    #[error("nothing of the payload was kept")]
    Payload,
    #[error("the payload is not whole, and `cloudevents.incomplete` is `skip`")]
    Rest,
}

impl Cloudevents {
    /// As configured.
    pub fn new(config: &config::Cloudevents) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        for pair in &config.headers {
            let name = HeaderName::from_str(&pair.name)
                .with_context(|| format!("cloudevents.headers: `{}` is no name of a header field", pair.name))?;
            let mut value = HeaderValue::from_str(&pair.value).with_context(|| {
                format!("cloudevents.headers: the value of `{name}` holds what no header field may")
            })?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(Self {
            client: http::client(config.timeout.0, config.certificate.0.as_deref())?,
            url: config.url.0.parse().with_context(|| format!("cloudevents.url: `{}` is no URL", config.url))?,
            headers,
            roles: match config.mode {
                EventsMode::All => &[Role::Request, Role::Response],
                EventsMode::Request => &[Role::Request],
                EventsMode::Response => &[Role::Response],
            },
            source: Source::new(config),
            skip: config.incomplete == EventsIncomplete::Skip,
            clock: Clock::new(TimeZone::UTC),
            half: Vec::new(),
            told: false,
        })
    }

    /// Says which records have an event in this mode.
    pub fn wants(mode: EventsMode) -> fn(&Record) -> bool {
        match mode {
            EventsMode::All => |record| [Role::Request, Role::Response].iter().any(|role| is_due(record, *role)),
            EventsMode::Request => |record| is_due(record, Role::Request),
            EventsMode::Response => |record| is_due(record, Role::Response),
        }
    }

    /// Events of a record, in order, without those that have arrived.
    fn events(&mut self, record: &Arc<Record>) -> Result<Vec<(Role, Event)>, Lack> {
        let Record::Exchange(exchange) = &**record else { return Ok(Vec::new()) };
        let asked = self.half.iter().any(|half| Arc::ptr_eq(half, record));
        let due = self.roles.iter().filter(|role| is_due(record, **role) && !(asked && **role == Role::Request));
        let mut events = Vec::new();
        for role in due {
            let Some(part) = exchange.part(*role) else { continue };
            let (body, whole) = event::payload(part);
            if body.is_empty() && part.content_size() > 0 {
                return Err(Lack::Payload);
            }
            if !whole && self.skip {
                return Err(Lack::Rest);
            }
            let headers = self.source.headers(exchange, part, *role, whole, &mut self.clock);
            events.push((*role, Event { headers, body }));
        }
        Ok(events)
    }

    /// Begins to send those of a record, if it has some that can be sent.
    fn begin(&mut self, record: Arc<Record>, sending: &mut JoinSet<Done>) -> Result<(), Lack> {
        let events = match self.events(&record) {
            Ok(events) => events,
            Err(lack) => {
                if matches!(lack, Lack::Payload) && !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(
                        "payloads are not kept, so that there is nothing to send as a CloudEvent: see `keep` in policies"
                    );
                }
                return Err(lack);
            }
        };
        let (client, url, headers) = (self.client.clone(), self.url.clone(), self.headers.clone());
        let mut asked = self.half.iter().any(|half| Arc::ptr_eq(half, &record));
        sending.spawn(async move {
            for (role, Event { headers: attributes, body }) in events {
                let request = client.post(url.clone()).headers(headers.clone()).headers(attributes).body(body);
                if let Err(refusal) = http::judged(request.send().await) {
                    return Done { record, asked, result: Err(refusal) };
                }
                asked |= role == Role::Request;
            }
            Done { record, asked, result: Ok(()) }
        });
        Ok(())
    }

    /// Enters what came of a record; false if the receiver takes none now.
    fn enter(&mut self, done: Done, attempt: &mut Attempt) -> bool {
        let Done { record, asked, result } = done;
        self.half.retain(|half| !Arc::ptr_eq(half, &record));
        match result {
            Ok(()) => attempt.delivered += 1,
            Err(Refusal::Never(error)) => {
                attempt.refused += 1;
                attempt.error = Some(error);
            }
            Err(Refusal::Later(error, wait)) => {
                if asked {
                    self.half.push(Arc::clone(&record));
                }
                attempt.left.push(record);
                attempt.error = Some(error);
                attempt.wait = attempt.wait.max(wait);
                return false;
            }
        }
        true
    }
}

/// Has this side of the record an event? Work of a model, and of its responses those with 200, as KServe's logger has it.
fn is_due(record: &Record, role: Role) -> bool {
    let Record::Exchange(exchange) = record else { return false };
    is_work(exchange)
        && match role {
            Role::Request => exchange.request.is_some(),
            Role::Response => exchange.response.as_ref().is_some_and(|part| part.head.status() == Some(200)),
        }
}

fn is_work(exchange: &Exchange) -> bool {
    exchange.inference.as_ref().is_some_and(|inference| inference.operation.is_work())
}

impl Deliver for Cloudevents {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        let began = Instant::now();
        // Those that were given up since.
        self.half.retain(|half| batch.iter().any(|record| Arc::ptr_eq(half, record)));
        let mut attempt = Attempt::default();
        let mut waiting = batch.into_iter();
        let mut sending = JoinSet::new();
        let mut goes_on = true;
        loop {
            while goes_on && sending.len() < AT_ONCE && began.elapsed() < ATTEMPT {
                let Some(record) = waiting.next() else { break };
                if let Err(lack) = self.begin(record, &mut sending) {
                    attempt.refused += 1;
                    attempt.error = Some(lack.into());
                }
            }
            match sending.join_next().await {
                None => break,
                Some(Ok(done)) => goes_on &= self.enter(done, &mut attempt),
                Some(Err(error)) => {
                    attempt.refused += 1;
                    attempt.error = Some(error.into());
                }
            }
        }
        attempt.left.extend(waiting);
        attempt
    }
}
