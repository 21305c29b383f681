//! sock_ops: connections opened and closed, with the kernel's own counters. The reply is always "go on".
