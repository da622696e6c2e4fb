//! Rivals in process: the same work done by other libraries, for the same bench.

#[cfg(feature = "peer-wimlib")]
pub mod wimlib;
