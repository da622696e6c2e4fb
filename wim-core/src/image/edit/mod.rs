//! Edits: what servicing asks for, and how an image looks with them.
//!
//! [`change`] is the one door: drivers, updates and registry edits return [`Change`]s. An [`Overlay`] takes them in, shows
//! the image with them through a [`View`], and makes the new tree. None of them touches a WIM.

pub mod change;
pub mod content;
pub mod image_view;
pub mod overlay;
pub mod resolve;
pub mod view;

pub use change::{Action, Change, Security, Times};
pub use content::Content;
pub use image_view::ImageView;
pub use overlay::Overlay;
pub use resolve::{Effect, EffectKind, HashedFiles, Resolved};
pub use view::{EntryInfo, View, as_spelt};
