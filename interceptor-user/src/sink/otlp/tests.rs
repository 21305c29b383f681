//! Against receivers on real sockets.
