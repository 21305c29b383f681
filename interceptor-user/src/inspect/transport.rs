//! What is odd about how an exchange was carried, as findings.

use std::sync::Arc;

use super::{Budget, Inspector, Report, Subject};
use crate::{
    model::{Anomalies, Anomaly, Finding, InspectorName, Needs},
    policy::settings::{self, Error},
};

/// Tells anomalies.
#[derive(Debug)]
pub struct Transport {
    wanted: Anomalies,
}

impl Transport {
    /// By these settings.
    pub fn new(settings: &settings::Transport) -> Result<Self, Error> {
        settings.validate()?;
        let severe = |anomaly: &Anomaly| severity(*anomaly) >= settings.min_severity;
        Ok(Self { wanted: settings.anomalies()?.iter().filter(severe).collect() })
    }
}

impl Inspector for Transport {
    fn name(&self) -> InspectorName {
        InspectorName::Transport
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn inspect(&mut self, subject: &Subject<'_>, _budget: &mut Budget, report: &mut Report) {
        for anomaly in subject.exchange.anomalies.iter().filter(|anomaly| self.wanted.contains(*anomaly)) {
            report.findings.push(Finding {
                inspector: InspectorName::Transport,
                kind: anomaly.name().into(),
                role: None,
                place: String::new(),
                score: severity(anomaly),
                value: None,
                text: meaning(anomaly).to_owned(),
                count: 1,
                rule: Arc::clone(&report.rule),
            });
        }
    }
}

/// How bad it is, from 0 to 1.
const fn severity(anomaly: Anomaly) -> f32 {
    match anomaly {
        // Two parsers in a row may disagree where a request ends, or about its fields (RFC 9112 sections 11.1 and 11.2).
        Anomaly::TransferEncodingAndLength
        | Anomaly::RepeatedLength
        | Anomaly::BadLength
        | Anomaly::BadTransferEncoding
        | Anomaly::BadChunk
        | Anomaly::BareLf
        | Anomaly::ObsFold
        | Anomaly::Nul => 1.0,
        // Somebody sends what is not to be sent, or changes what was sent.
        Anomaly::RetransmissionDiffers | Anomaly::Flood | Anomaly::FlowControl | Anomaly::ContentLimit => 0.8,
        Anomaly::BadHead
        | Anomaly::BadFrame
        | Anomaly::BadHeaderBlock
        | Anomaly::HeadTooLarge
        | Anomaly::PipelineTooDeep
        | Anomaly::BadCoding
        | Anomaly::BadMessage
        | Anomaly::Skipped => 0.6,
        Anomaly::Truncated
        | Anomaly::Reset
        | Anomaly::StreamReset
        | Anomaly::Refused
        | Anomaly::NoResponse
        | Anomaly::NoRequest => 0.5,
        Anomaly::Gap | Anomaly::MidStream | Anomaly::MemoryLimit | Anomaly::UnknownField => 0.2,
    }
}

/// What it comes to.
fn meaning(anomaly: Anomaly) -> &'static str {
    if severity(anomaly) >= 1.0 {
        "parsers may disagree about where the message ends or what is in it: request smuggling"
    } else if anomaly == Anomaly::RetransmissionDiffers {
        "one side may have seen other bytes than those shown"
    } else if matches!(anomaly, Anomaly::Gap | Anomaly::MidStream | Anomaly::MemoryLimit | Anomaly::UnknownField) {
        "the capture is not whole"
    } else if severity(anomaly) <= 0.5 {
        "the exchange was not carried to its end"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::testing::{exchange, inspect};

    fn kinds(settings: &str, anomalies: &[Anomaly]) -> Vec<(String, f32)> {
        let mut inspector = Transport::new(&serde_json::from_str(settings).unwrap()).unwrap();
        let mut subject = exchange();
        subject.anomalies = anomalies.iter().copied().collect();
        let report = inspect(&mut inspector, &subject, None);
        assert!(report.findings.iter().all(|finding| &*finding.rule == "p/r"));
        report.findings.into_iter().map(|finding| (finding.kind.into_owned(), finding.score)).collect()
    }

    #[test]
    fn anomalies_are_findings_as_the_settings_say() {
        let seen = [Anomaly::Gap, Anomaly::ObsFold, Anomaly::Truncated];
        let named = |name: &str, score| (name.to_owned(), score);
        assert_eq!(kinds("{}", &seen), [named("truncated", 0.5), named("obs_fold", 1.0)]);
        assert_eq!(kinds(r#"{"minSeverity":0.9}"#, &seen), [named("obs_fold", 1.0)]);
        assert_eq!(kinds(r#"{"anomalies":["gap"]}"#, &seen), [named("gap", 0.2)]);
        assert_eq!(kinds("{}", &[]), []);
    }
}
