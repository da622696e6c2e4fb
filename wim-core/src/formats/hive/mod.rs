//! Registry hives ("regf"): reading, editing in place, replaying transaction logs, checking, comparing, rebuilding.
//!
//! The format is known from the published regf specification and from what Windows writes; places where Windows' own
//! choices matter (leaf sizes, hashes, order, reference counts) are named where they are made. A hive is one buffer:
//! [`Hive::open`] validates bins and cells, readers borrow from it, and edits touch only the cells they must. Nothing
//! here knows where hives lie in an image (`servicing::hive_set` does) or what their keys mean.
//!
//! | file | subject |
//! |---|---|
//! | `base_block.rs` | the first 4096 bytes: sequences, version, checksum |
//! | `cell.rs`, `alloc.rs`, `undo.rs` | bins and cells; finding, splitting and joining free ones; taking edits back |
//! | `name.rs`, `key.rs`, `value.rs`, `subkeys.rs`, `big_data.rs`, `security.rs` | one record kind each |
//! | `log.rs` | both formats of transaction logs |
//! | `reader.rs`, `editor.rs`, `writer.rs` | what callers use: keys and values, edits, new hives |
//! | `check.rs`, `diff.rs`, `compact.rs` | every invariant; differences of two hives; rebuilding |

#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod alloc;
mod base_block;
mod big_data;
mod cell;
mod check;
mod compact;
mod diff;
mod editor;
mod key;
mod log;
mod name;
mod reader;
#[cfg(test)]
mod record_tests;
mod security;
mod subkey_lists;
mod subkeys;
mod undo;
mod value;
mod writer;

pub use base_block::{BaseBlock, HiveVersion};
pub use check::{CheckReport, Finding, Severity};
pub use compact::Damage;
pub use diff::{CompareTimes, Difference, KeyPart};
pub use editor::DeleteScope;
pub use key::{KeyFlags, key_flags};
pub use name::Name;
pub use reader::{Hive, KeyRef, SubkeyIter, ValueIter, is_dirty};
pub use value::{RegValue, ValueRef, reg_type};
pub use writer::CreateOptions;
