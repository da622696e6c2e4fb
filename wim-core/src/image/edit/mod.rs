//! Edits: what servicing asks for, and how an image looks with them.
//!
//! [`change`] is the one door: drivers, updates and registry edits return [`Change`]s. [`view`] is how they see an image.
//! Neither touches a WIM.

pub mod change;
pub mod content;
pub mod view;

pub use change::{Action, Change, Security, Times};
pub use content::Content;
pub use view::{EntryInfo, View};
