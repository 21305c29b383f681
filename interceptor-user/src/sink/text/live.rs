//! A message as it comes, while its exchange goes on.

use std::{fmt::Write as _, io::Write};

use super::{
    TextSink,
    columns::{self, DURATION, SIZE, STATUS, Size},
    messages, write_target,
};
use crate::model::{Kind, MessageRecord, Role};

impl<W: Write> TextSink<W> {
    /// A line with a mark of its direction, its number and its size where an exchange has status, duration and sizes.
    pub(super) fn message(&mut self, record: &MessageRecord) -> anyhow::Result<()> {
        let Self { styles, clock, columns, pieces: [before, target, after], .. } = self;
        before.clear();
        target.clear();
        after.clear();
        let MessageRecord { exchange, role, index, format, piece } = record;
        columns.fit(&exchange.flow);
        if std::mem::take(&mut self.heading_due) {
            columns.heading(self.out.buffer(), styles)?;
        }
        columns.write_ends(before, &exchange.flow, &clock.time_of_day(piece.time), styles)?;
        let (mark, style, sizes) = match role {
            Role::Request => ('>', styles.sent, [Some(piece.size), None]),
            Role::Response => ('<', styles.received, [None, Some(piece.size)]),
        };
        let [sent, got] = sizes.map(Size);
        let number = format!("#{index}");
        write!(before, "  {style}{mark:STATUS$}{style:#}  {number:>DURATION$} {sent:>SIZE$} {got:>SIZE$}  ")?;
        write_target(target, exchange.request.as_ref(), &self.options.mask)?;
        if let Some(stream) = exchange.stream {
            write!(after, "  stream {stream}")?;
        }
        write!(after, "  {}", format.name())?;
        if piece.kind != Kind::Data {
            write!(after, " {}", piece.kind.name())?;
        }
        self.put(columns::method(exchange))?;
        let pieces = exchange.part(*role).and_then(|part| part.pieces.as_ref());
        if let Some(pieces) = pieces.filter(|_| self.options.bodies) {
            messages::write(self.out.buffer(), exchange, *role, pieces, &self.options, &self.styles)?;
        }
        self.out.end_line()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        model::{Format, Record},
        sink::{
            Sink as _, sample,
            text::{Options, TextSink},
        },
    };

    #[test]
    fn a_line_a_message() {
        let mut out = Vec::new();
        let registry = crate::protobuf::Registry::builtin();
        let options = Options { heading: true, bodies: true, messages: true, registry, ..Options::default() };
        let mut sink = TextSink::new(&mut out, options);
        for message in sample::messages() {
            sink.record(&Record::Message(Box::new(message))).expect("written");
        }
        sink.record(&Record::Exchange(Box::new(sample::call()))).expect("written");
        let mut events = sample::messages().remove(0);
        (events.exchange.stream, events.format) = (None, Format::EventStream);
        sink.options.bodies = false;
        sink.record(&Record::Message(Box::new(events))).expect("written");
        sink.flush().expect("written");
        insta::assert_snapshot!(String::from_utf8(out).expect("UTF-8"));
    }
}
