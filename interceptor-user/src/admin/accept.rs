//! Which of its formats the metrics page is asked for in.

use hyper::{HeaderMap, header::ACCEPT};

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

/// The one that `Accept` likes more (RFC 9110 section 12.5.1); text where it likes both or neither.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut open): (Liked, Liked) = Default::default();
    let lists = headers.get_all(ACCEPT).iter().filter_map(|list| list.to_str().ok());
    for range in lists.flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = || parts.clone().filter_map(|part| part.split_once('='));
        let named = |name: &str| parameters().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let quality = named("q").map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
        let version = named("version").map(|(_, value)| value.trim().trim_matches('"'));
        match kind.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => open.like(2, quality),
            "text/plain" if matches!(version, None | Some("0.0.4")) => text.like(2, quality),
            "text/*" => text.like(1, quality),
            "*/*" => text.like(0, quality),
            _ => {}
        }
    }
    if open.quality > text.quality { Format::OpenMetrics } else { Format::Text }
}

/// How much a format is liked, by the most precise range that has it.
#[derive(Default)]
struct Liked {
    precision: u8,
    quality: f32,
}

impl Liked {
    fn like(&mut self, precision: u8, quality: f32) {
        if precision > self.precision || (precision == self.precision && quality > self.quality) {
            *self = Self { precision, quality };
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn openmetrics_is_given_to_who_asks_for_it() {
        use Format::{OpenMetrics, Text};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
                            escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let cases = [
            (None, Text),
            (Some(""), Text),
            (Some("*/*"), Text),
            (Some("text/html,application/xml;q=0.9,*/*;q=0.8"), Text),
            (Some(prometheus_2), OpenMetrics),
            (Some(prometheus_3), OpenMetrics),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"), OpenMetrics),
            (Some("application/openmetrics-text; version=0.0.1"), Text),
            (Some("application/openmetrics-text; version=2.0.0"), Text),
            (Some("application/openmetrics-text;q=0"), Text),
            (Some("application/openmetrics-text;q=x"), Text),
            (Some("text/plain;q=0.5, application/openmetrics-text;q=0.4"), Text),
            (Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Text),
            (Some("*/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5"), OpenMetrics),
        ];
        for (accept, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value"));
            }
            assert_eq!(format(&headers), expected, "{accept:?}");
        }
    }
}
