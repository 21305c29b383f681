use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    time::Duration,
};

use super::style::Styles;
use crate::model::{Endpoint, Exchange, FlowInfo, Part};

/// The columns before the method. The addresses' grow with what they show, so that lines stay aligned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns {
    client: usize,
    server: usize,
}

const TIME: usize = 12;
/// Room for a path that is never taken away, however narrow the terminal.
const PATH_MIN: usize = 24;
pub(super) const STATUS: usize = 3;
pub(super) const DURATION: usize = 6;
pub(super) const SIZE: usize = 5;

impl Columns {
    /// Makes room for the addresses of this flow.
    pub(super) fn fit(&mut self, flow: &FlowInfo) {
        let longest = |column: usize, endpoint: Endpoint| column.max(address_len(endpoint));
        self.client = longest(self.client, flow.client.endpoint);
        self.server = longest(self.server, flow.server.endpoint);
    }

    /// What they take on the screen, the space before the method included.
    const fn width(&self) -> usize {
        TIME + 2 + self.client + 3 + self.server + 2 + STATUS + 2 + DURATION + 1 + SIZE + 1 + SIZE + 2
    }

    /// What is left of `width` between the method and what comes last.
    pub(super) fn room(&self, width: usize, method: &str, last: &str) -> usize {
        width.saturating_sub(self.width() + 1 + method.len() + printed(last)).max(PATH_MIN)
    }

    pub(super) fn heading(&self, out: &mut Vec<u8>, styles: &Styles) -> io::Result<()> {
        let Self { client, server } = *self;
        let dim = styles.dim;
        writeln!(
            out,
            "{dim}{:TIME$}  {:client$}   {:server$}  {:STATUS$}  {:>DURATION$} {:>SIZE$} {:>SIZE$}  REQUEST{dim:#}",
            "TIME", "CLIENT", "SERVER", "ST.", "TOOK", "SENT", "GOT"
        )
    }

    pub(super) fn write(&self, out: &mut String, exchange: &Exchange, time: &[u8; 15], styles: &Styles) -> fmt::Result {
        self.write_ends(out, &exchange.flow, time, styles)?;
        let status = exchange.response.as_ref().and_then(|part| part.head.status());
        let style = styles.status(status);
        match status {
            Some(status) => write!(out, "  {style}{status:STATUS$}{style:#}  ")?,
            None => write!(out, "  {style}{:STATUS$}{style:#}  ", "---")?,
        }
        write!(out, "{:>DURATION$} ", Took(exchange.duration()))?;
        write!(out, "{:>SIZE$} {:>SIZE$}  ", Size::of(exchange.request.as_ref()), Size::of(exchange.response.as_ref()))
    }
}

impl Columns {
    /// When, and between whom.
    pub(super) fn write_ends(
        &self,
        out: &mut String,
        flow: &FlowInfo,
        time: &[u8; 15],
        styles: &Styles,
    ) -> fmt::Result {
        let Self { client, server } = *self;
        let dim = styles.dim;
        let time = str::from_utf8(&time[..TIME]).unwrap_or_default();
        write!(out, "{dim}{time}{dim:#}  ")?;
        padded(out, client, |out| write!(out, "{}", flow.client.endpoint))?;
        write!(out, " {dim}→{dim:#} ")?;
        padded(out, server, |out| write!(out, "{}", flow.server.endpoint))
    }
}

/// Method of the request; `-` where it was not seen.
pub(super) fn method(exchange: &Exchange) -> &str {
    exchange.request.as_ref().and_then(|part| part.head.method()).unwrap_or("-")
}

/// Columns on the screen, of text without control characters except for styles. Beyond ASCII two for each, to be sure.
pub(super) fn printed(text: &str) -> usize {
    let mut in_style = false;
    let mut width = 0;
    for c in text.chars() {
        match c {
            '\x1b' => in_style = true,
            'm' if in_style => in_style = false,
            _ if in_style => {}
            c => width += column(c),
        }
    }
    width
}

/// Where to end so that the text and an ellipsis take `room` columns; None if all of it fits.
pub(super) fn cut(text: &str, room: usize) -> Option<usize> {
    if text.len() <= room || printed(text) <= room {
        return None;
    }
    let mut left = room.saturating_sub(1);
    text.char_indices()
        .find(|(_, c)| {
            let fits = column(*c) <= left;
            left = left.saturating_sub(column(*c));
            !fits
        })
        .map(|(end, _)| end)
}

const fn column(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

fn padded(out: &mut String, width: usize, write: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    let end = out.len() + width;
    write(out)?;
    while out.len() < end {
        out.push(' ');
    }
    Ok(())
}

/// Bytes that an endpoint's text takes.
fn address_len(endpoint: Endpoint) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    let _ = write!(count, "{endpoint}");
    count.0
}

/// A duration in three digits: `812µs`, `3.21ms`, `32.1ms`, `1.23s`.
pub(super) struct Took(pub(super) Option<Duration>);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(duration) = self.0 else { return f.pad("-") };
        let micros = duration.as_secs_f64() * 1e6;
        f.pad(&match micros {
            ..999.5 => format!("{micros:.0}µs"),
            ..9_995.0 => format!("{:.2}ms", micros / 1e3),
            ..99_950.0 => format!("{:.1}ms", micros / 1e3),
            ..999_500.0 => format!("{:.0}ms", micros / 1e3),
            ..9_995_000.0 => format!("{:.2}s", micros / 1e6),
            ..99_950_000.0 => format!("{:.1}s", micros / 1e6),
            _ => format!("{:.0}s", micros / 1e6),
        })
    }
}

/// Content bytes in two digits or so: `120B`, `1.2K`, `12K`.
pub(super) struct Size(pub(super) Option<u64>);

impl Size {
    pub(super) fn of(part: Option<&Part>) -> Self {
        Self(part.map(Part::content_size))
    }
}

impl fmt::Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.pad("-") };
        if bytes < 1000 {
            return f.pad(&format!("{bytes}B"));
        }
        let mut size = bytes as f64 / 1000.0;
        let mut units = "KMGTPE".chars();
        let mut unit = units.next();
        while size >= 999.5 {
            size /= 1000.0;
            unit = units.next();
        }
        let digits = usize::from(size < 9.95);
        f.pad(&format!("{size:.digits$}{}", unit.unwrap_or('?')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_in_few_digits() {
        for (nanos, expected) in [
            (0, "0µs"),
            (999_400, "999µs"),
            (999_600, "1.00ms"),
            (3_210_000, "3.21ms"),
            (32_100_000, "32.1ms"),
            (321_000_000, "321ms"),
            (999_700_000, "1.00s"),
            (12_340_000_000, "12.3s"),
            (1_234_000_000_000, "1234s"),
        ] {
            assert_eq!(Took(Some(Duration::from_nanos(nanos))).to_string(), expected);
        }
        for (bytes, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0K"),
            (9_960, "10K"),
            (120_400, "120K"),
            (999_600, "1.0M"),
            (64 << 20, "67M"),
            (u64::MAX, "18E"),
        ] {
            assert_eq!(Size(Some(bytes)).to_string(), expected);
        }
    }

    #[test]
    fn cuts_where_the_screen_ends() {
        assert_eq!(cut("/short", 6), None);
        assert_eq!(cut("/longer", 6), Some(5));
        assert_eq!(cut("/世界世界", 6), Some(7), "one and two characters of two columns");
        assert_eq!(cut("/世界世界", 9), None);
        assert_eq!(printed("\x1b[1;31m!gap\x1b[0m"), 4);
    }
}
