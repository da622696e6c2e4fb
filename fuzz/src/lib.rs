//! Fuzz oracles: one plain function each.
//!
//! `tests/replay.rs` runs them on seeds, past crashes and mutations under `cargo test`; `targets/` has the libFuzzer glue.

pub mod cab;
pub mod codecs;
pub mod deltas;
pub mod discs;
pub mod drivers;
pub mod hive;
pub mod updates;
pub mod wim;

#[path = "../../wim-core/tests/it/delta_writer.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod delta_writer;
#[path = "../../wim-core/tests/it/disc_writer.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests of wim-core use the rest; what fails there is a mistake of the seeds"
)]
mod disc_writer;
#[path = "../../wim-core/tests/it/pe_image.rs"]
#[allow(dead_code, reason = "the tests of wim-core use the rest")]
mod pe_image;
