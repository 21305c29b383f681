//! Messages to exchanges: pairing requests with responses.
