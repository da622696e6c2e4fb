//! Files on servers, read by URL: only the byte ranges that are needed, through a cache of blocks.
//!
//! Requests are GETs with one range each (RFC 9110 14). It writes nothing, needs no more of a server than ranges, and never
//! downloads a file as a whole: a server that would send one is refused.

mod block_cache;
mod http;

pub use http::RemoteFile;
