//! Two pods, a model server and a client, to see the interceptor at work.
