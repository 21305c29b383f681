//! One flow: two decoders and the pairing of their messages.
