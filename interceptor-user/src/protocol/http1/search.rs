//! Out of step: where is the next head?

use super::{ATTEMPTS, Decoder, State, head, head::Strict, line, line::Fit};
use crate::{
    model::{Message, Role},
    protocol::Context,
};

impl Decoder {
    pub(super) fn search(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            if self.buffer.is_empty() {
                self.started = context.time;
            }
            let taken = self.fill(data, context);
            while let Some(fit) = self.candidate(context) {
                match fit {
                    Fit::More => break,
                    Fit::No => self.skip(1),
                    Fit::Yes => {
                        let Some(end) = self.buffer.head_end() else { break };
                        let head = self.buffer.bytes().get(..end).unwrap_or_default();
                        if let Strict::Whole(parsed, len) = head::strict(self.role, head)
                            && len == end
                        {
                            self.give_back(data, taken, end);
                            self.buffer.clear();
                            return Some(self.begin_message(parsed, end, context));
                        }
                        let last_line = line::last_start(self.role, head);
                        self.buffer.attempts += 1;
                        self.skip(match self.buffer.attempts {
                            1..ATTEMPTS => 1,
                            ATTEMPTS => last_line.unwrap_or(end),
                            _ => end,
                        });
                    }
                }
            }
            if self.buffer.len() >= context.head_limit {
                self.skip(1);
            }
        }
        None
    }

    /// Does a head begin where one may begin next? `None` if there is no such place in the buffer.
    fn candidate(&mut self, context: &Context) -> Option<Fit> {
        let begins = match self.role {
            Role::Request => line::request,
            Role::Response => line::response,
        };
        let bytes = self.buffer.bytes();
        if self.state == (State::Search { fresh: true }) {
            match begins(bytes) {
                Fit::More => return Some(Fit::More),
                fit => {
                    self.buffer.candidate = fit == Fit::Yes && !line::hides_known_request(bytes);
                    self.state = State::Search { fresh: false };
                }
            }
        }
        if !self.buffer.candidate {
            let bytes = self.buffer.bytes();
            let found = line::find(self.role, bytes);
            self.skip(found.unwrap_or(bytes.len().saturating_sub(line::TAIL)));
            found?;
            self.buffer.candidate = true;
            self.started = context.time;
        }
        Some(begins(self.buffer.bytes()))
    }

    fn skip(&mut self, count: usize) {
        self.state = State::Search { fresh: false };
        self.buffer.discard(count);
        self.reported += count as u64;
    }
}
