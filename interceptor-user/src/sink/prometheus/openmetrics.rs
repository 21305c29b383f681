//! OpenMetrics 1.0 (<https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>), the text format
//! that has exemplars.

use std::fmt::{self, Write};

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Gathered};

/// Units that names may end in (section "Units and Base Units").
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// The whole page.
pub(super) fn text(gathered: &Gathered) -> String {
    let mut page = Page(String::new());
    for family in &gathered.families {
        // Writing to a string cannot fail.
        let _written = page.family(family, gathered);
    }
    page.0 + "# EOF\n"
}

struct Page(String);

/// What a family is in this format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// With the family's name: without what its samples' names end in. None for what this format has no place for.
    fn of(family: &MetricFamily) -> Option<(Self, &str)> {
        let name = family.name();
        match family.get_field_type() {
            MetricType::COUNTER => Some((Self::Counter, name.strip_suffix("_total")?)),
            MetricType::GAUGE => {
                Some(name.strip_suffix("_info").map_or((Self::Gauge, name), |name| (Self::Info, name)))
            }
            MetricType::HISTOGRAM => Some((Self::Histogram, name)),
            MetricType::SUMMARY | MetricType::UNTYPED => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

impl Page {
    fn family(&mut self, family: &MetricFamily, gathered: &Gathered) -> fmt::Result {
        let Some((kind, name)) = Kind::of(family) else { return Ok(()) };
        writeln!(self.0, "# TYPE {name} {}", kind.name())?;
        let unit = name.rsplit_once('_').map_or("", |(_, last)| last);
        if UNITS.contains(&unit) {
            writeln!(self.0, "# UNIT {name} {unit}")?;
        }
        write!(self.0, "# HELP {name} ")?;
        self.escaped(family.help())?;
        self.0.push('\n');
        for metric in family.get_metric() {
            match kind {
                Kind::Counter => self.sample(family.name(), metric, metric.get_counter().get_value())?,
                Kind::Gauge | Kind::Info => self.sample(family.name(), metric, metric.get_gauge().get_value())?,
                Kind::Histogram => self.histogram(name, metric, gathered.exemplar(family, metric))?,
            }
        }
        Ok(())
    }

    fn sample(&mut self, name: &str, metric: &Metric, value: f64) -> fmt::Result {
        self.start(name, metric, None)?;
        self.number(value)?;
        self.0.push('\n');
        Ok(())
    }

    fn histogram(&mut self, name: &str, metric: &Metric, exemplar: Option<&Exemplar>) -> fmt::Result {
        let histogram = metric.get_histogram();
        let (bucket, count) = (format!("{name}_bucket"), histogram.get_sample_count());
        let bounded = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let buckets = bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        // It is of the first bucket that its value is in.
        let mut exemplar = exemplar;
        for (bound, below) in buckets.chain([(f64::INFINITY, count)]) {
            self.start(&bucket, metric, Some(bound))?;
            write!(self.0, "{below}")?;
            if let Some(exemplar) = exemplar.take_if(|exemplar| exemplar.value <= bound) {
                self.exemplar(exemplar)?;
            }
            self.0.push('\n');
        }
        self.start(&format!("{name}_count"), metric, None)?;
        writeln!(self.0, "{count}")?;
        self.start(&format!("{name}_sum"), metric, None)?;
        self.number(histogram.get_sample_sum())?;
        self.0.push('\n');
        Ok(())
    }

    fn exemplar(&mut self, exemplar: &Exemplar) -> fmt::Result {
        let [trace, span] = [&exemplar.link.trace_id[..], &exemplar.link.span_id[..]].map(hex);
        write!(self.0, " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} ")?;
        self.number(exemplar.value)?;
        let nanos = exemplar.time.as_nanos();
        write!(self.0, " {}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }

    /// Name and labels, with that of a bucket if it is one.
    fn start(&mut self, name: &str, metric: &Metric, bound: Option<f64>) -> fmt::Result {
        self.0.push_str(name);
        let mut before = '{';
        for label in metric.get_label() {
            write!(self.0, "{before}{}=\"", label.name())?;
            self.escaped(label.value())?;
            self.0.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            write!(self.0, "{before}le=\"")?;
            self.number(bound)?;
            self.0.push('"');
            before = ',';
        }
        self.0.push_str(if before == '{' { " " } else { "} " });
        Ok(())
    }

    /// Section "Numbers": with a point, as floating point numbers have.
    fn number(&mut self, value: f64) -> fmt::Result {
        if value.is_nan() {
            self.0.push_str("NaN");
        } else if value.is_infinite() {
            self.0.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else if value.fract() == 0.0 {
            write!(self.0, "{value:.1}")?;
        } else {
            write!(self.0, "{value}")?;
        }
        Ok(())
    }

    /// Section "ABNF", `escaped-string`.
    fn escaped(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '\n' => self.0.push_str("\\n"),
                '"' | '\\' => write!(self.0, "\\{char}")?,
                char => self.0.push(char),
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _written = write!(hex, "{byte:02x}");
        hex
    })
}
