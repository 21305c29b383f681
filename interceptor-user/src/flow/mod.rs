//! Segments to chunks: the flow table and TCP reassembly.
