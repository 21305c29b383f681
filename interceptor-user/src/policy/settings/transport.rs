use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::model::{Anomalies, Anomaly};

/// Report of what is odd about how exchanges were carried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Transport {
    /// Anomalies that are told, by their names in output (`transfer_encoding_and_length`). All but those that only say that
    /// the capture is not whole (`gap`, `mid_stream`, `memory_limit`, `unknown_field`) where none is named.
    pub anomalies: Vec<String>,
    /// Only those of at least this severity, from 0 to 1: 1 for what requests are smuggled with, 0.5 for what was not
    /// carried to its end.
    pub min_severity: f32,
}

/// They say of the capture that it is not whole, and nothing of the traffic.
const OF_CAPTURE: [Anomaly; 4] = [Anomaly::Gap, Anomaly::MidStream, Anomaly::MemoryLimit, Anomaly::UnknownField];

impl Transport {
    /// The anomalies that are meant.
    pub fn anomalies(&self) -> Result<Anomalies, Error> {
        if self.anomalies.is_empty() {
            return Ok(Anomaly::ALL.into_iter().filter(|anomaly| !OF_CAPTURE.contains(anomaly)).collect());
        }
        let named = |name: &String| {
            Anomaly::ALL.into_iter().find(|anomaly| anomaly.name() == name).ok_or_else(|| unknown(name))
        };
        self.anomalies.iter().map(named).collect()
    }

    /// Says what is wrong with it, and what is allowed.
    pub fn validate(&self) -> Result<(), Error> {
        self.anomalies()?;
        if !(0.0..=1.0).contains(&self.min_severity) {
            let message = format!("{} is no severity: allowed is 0 to 1", self.min_severity);
            return Err(Error::new("minSeverity", message));
        }
        Ok(())
    }
}

fn unknown(name: &str) -> Error {
    let near = |anomaly: &Anomaly| strsim::jaro_winkler(anomaly.name(), name);
    let best = Anomaly::ALL.into_iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|best| near(best) > 0.8);
    let message = best.map_or_else(
        || format!("'{name}' is not known: {}", Anomaly::ALL.map(Anomaly::name).join(", ")),
        |best| format!("'{name}' is not known; did you mean {}?", best.name()),
    );
    Error::new("anomalies", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_allowed() {
        let settings = |json| serde_json::from_str::<Transport>(json).unwrap();
        let refused = |json| settings(json).validate().unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"anomalies":["obsfold"]}"#),
            "anomalies: 'obsfold' is not known; did you mean obs_fold?"
        );
        assert!(refused(r#"{"anomalies":["x"]}"#).contains("retransmission_differs"));
        assert!(refused(r#"{"minSeverity":3}"#).starts_with("minSeverity: 3"));
        let default = settings("{}").anomalies().unwrap();
        assert!(default.contains(Anomaly::Nul) && !default.contains(Anomaly::Gap));
        assert!(settings(r#"{"anomalies":["gap"]}"#).anomalies().unwrap().contains(Anomaly::Gap));
    }
}
