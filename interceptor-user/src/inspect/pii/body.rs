//! Contents, by what they are: JSON, forms, text, messages. What is shown twice (a streamed answer, which inference has put
//! together) is searched once.

use super::inspector::{Over, Search};
use crate::{
    content::sse::Event,
    inspect::Subject,
    model::{Anomaly, Format, Kind, Part, Pieces, UninspectedReason, Values},
};

/// The content of one message.
pub(super) struct Contents<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) part: &'a Part,
}

impl Contents<'_> {
    pub(super) fn search(&self, search: &mut Search<'_>) -> Result<(), Over> {
        let Self { part, subject } = self;
        let cut = part.body_cut() && part.tail.is_none();
        if part.body_missing > 0 || (!part.ended && subject.exchange.anomalies.contains(Anomaly::Gap)) {
            search.skip(UninspectedReason::Missing);
        } else if cut || (part.body.is_empty() && part.body_size > 0) {
            search.skip(UninspectedReason::NotKept);
        }
        if part.undecoded {
            search.skip(UninspectedReason::Malformed);
        }
        match &part.pieces {
            Some(pieces) => self.messages(pieces, search),
            None if part.body.is_empty() => Ok(()),
            None => self.whole(&part.body, search),
        }
    }

    /// A content that is one text.
    fn whole(&self, body: &[u8], search: &mut Search<'_>) -> Result<(), Over> {
        let media = self.media_type();
        let json = media.ends_with("/json") || media.ends_with("+json");
        if media == "application/x-www-form-urlencoded" {
            return search.pairs(body, "form");
        }
        let begins = body.trim_ascii_start().first().is_some_and(|byte| b"{[\"".contains(byte));
        if (json || (begins && media != "text/plain")) && search.json(body)? {
            return self.tensors(search, !json);
        }
        if json {
            search.skip(UninspectedReason::Malformed);
        }
        let text = media.starts_with("text/")
            || ["/xml", "+xml", "/javascript", "/csv", "/yaml", "/json"].iter().any(|end| media.ends_with(end));
        // One character may be cut.
        if text || str::from_utf8(body).map_or_else(|error| error.valid_up_to() + 4 > body.len(), |_| true) {
            return search.text(body, "", |_| "body".to_owned());
        }
        search.skip(UninspectedReason::Unsupported);
        self.tensors(search, true)
    }

    fn messages(&self, pieces: &Pieces, search: &mut Search<'_>) -> Result<(), Over> {
        if pieces.count > self.part.messages().count() as u64 {
            search.skip(UninspectedReason::NotKept);
        }
        match pieces.format {
            Format::Grpc | Format::GrpcWeb | Format::GrpcWebText => self.grpc(search),
            Format::EventStream | Format::JsonLines => self.streamed(pieces.format, search),
            Format::WebSocket => self.web_socket(search),
            Format::Multipart => self.multipart(search),
        }
    }

    /// As JSON, by descriptors or by what the wire tells: the names of fields are words near their values.
    fn grpc(&self, search: &mut Search<'_>) -> Result<(), Over> {
        let request = self.subject.exchange.request.as_ref();
        let path = request.and_then(|request| request.target().path).unwrap_or_default();
        for (kept, bytes) in self.part.messages() {
            let cut = (bytes.len() as u64) < kept.piece.size;
            let message = self.subject.registry.to_json(path, search.role, bytes, cut);
            match serde_json::to_vec(&message) {
                Ok(json) => {
                    search.json(&json)?;
                }
                Err(_) => search.skip(UninspectedReason::Malformed),
            }
        }
        // In JSON they are base64.
        self.tensors(search, true)
    }

    /// Events and lines. An answer that came in pieces is searched as what it comes to: a value may lie across them.
    fn streamed(&self, format: Format, search: &mut Search<'_>) -> Result<(), Over> {
        let inference = self.subject.inference;
        let mut whole = inference.into_iter().flat_map(|inference| &inference.texts);
        if whole.any(|text| text.role == search.role) {
            for text in inference.into_iter().flat_map(|inference| &inference.texts) {
                if text.role == search.role {
                    search.text(text.text.as_bytes(), "", |_| text.path.clone())?;
                }
            }
            for call in inference.into_iter().flat_map(|inference| &inference.tool_calls) {
                text_or_json(call.arguments.as_bytes(), search)?;
            }
            return Ok(());
        }
        for (_, bytes) in self.part.messages() {
            let text = String::from_utf8_lossy(bytes);
            match format {
                Format::EventStream => text_or_json(Event::parse(&text).data.as_bytes(), search)?,
                _ => text_or_json(bytes, search)?,
            }
        }
        Ok(())
    }

    fn web_socket(&self, search: &mut Search<'_>) -> Result<(), Over> {
        for (kept, bytes) in self.part.messages() {
            match kept.piece.kind {
                Kind::Text => text_or_json(bytes, search)?,
                Kind::Binary | Kind::Data if str::from_utf8(bytes).is_ok() => text_or_json(bytes, search)?,
                Kind::Binary | Kind::Data => search.skip(UninspectedReason::Unsupported),
                Kind::Ping | Kind::Pong | Kind::Close(_) => {}
            }
        }
        Ok(())
    }

    /// Parts: a head, an empty line, a content (RFC 7578).
    fn multipart(&self, search: &mut Search<'_>) -> Result<(), Over> {
        for (_, bytes) in self.part.messages() {
            let split = memchr::memmem::find(bytes, b"\r\n\r\n");
            let (head, content) = bytes.split_at(split.unwrap_or(0));
            let content = if split.is_some() { content.get(4..).unwrap_or_default() } else { content };
            let head = String::from_utf8_lossy(head);
            let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            search.text(head.as_bytes(), "", |_| "body".to_owned())?;
            if str::from_utf8(content).is_err() {
                search.skip(UninspectedReason::Unsupported);
                continue;
            }
            search.text(content, name, |scanner| format!("form:{}", super::conceal::shown(scanner, name)))?;
        }
        Ok(())
    }

    /// Strings of tensors that are not in a JSON text.
    fn tensors(&self, search: &mut Search<'_>, wanted: bool) -> Result<(), Over> {
        let Some(inference) = self.subject.inference.filter(|_| wanted) else { return Ok(()) };
        for tensor in inference.tensors(search.role) {
            let Values::Strings(strings) = &tensor.values else { continue };
            for string in strings.iter().flatten() {
                search.text(string.as_bytes(), &tensor.name, |scanner| {
                    format!("tensor:{}", super::conceal::shown(scanner, &tensor.name))
                })?;
            }
        }
        Ok(())
    }

    /// Without parameters, in small letters.
    fn media_type(&self) -> String {
        let value = self.part.head.fields.get("content-type").unwrap_or_default();
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        String::from_utf8_lossy(kind.trim_ascii()).to_ascii_lowercase()
    }
}

/// JSON, if it begins like it, else text.
fn text_or_json(text: &[u8], search: &mut Search<'_>) -> Result<(), Over> {
    let begins = text.trim_ascii_start().first().is_some_and(|byte| b"{[\"".contains(byte));
    if begins && search.json(text)? {
        return Ok(());
    }
    search.text(text, "", |_| "body".to_owned())
}
