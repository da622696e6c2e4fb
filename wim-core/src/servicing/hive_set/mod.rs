//! All registry hives of one image: each loaded once, edited by every planner, written once, and only when changed.
//!
//! Every edit is kept in a journal with its reason; savepoints take a refused driver back to the very bytes. Where hives lie
//! in an image is known here and nowhere else; what their keys mean is not known here.
//!
//! | file | subject |
//! |---|---|
//! | `name.rs` | hives by name, and where they lie |
//! | `journal.rs` | edits with their reasons, savepoints |
//! | `load.rs` | opening a hive of an image with its logs, repairing a damaged one |
//! | `set.rs` | the set: reads, edits, savepoints, the changes that come of them |

mod journal;
mod load;
mod name;
mod set;

pub use journal::{Edit, EditAction, KeyTraits, Savepoint, cancel_out};
pub use load::HiveOptions;
pub use name::HiveName;
pub use set::{HiveSet, control_set_key};
