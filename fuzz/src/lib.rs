//! Fuzz oracles: one plain function each.
//!
//! `tests/replay.rs` runs them on seeds, past crashes and mutations under `cargo test`; `targets/` has the libFuzzer glue.

pub mod cab;
pub mod codecs;
pub mod drivers;
pub mod wim;
