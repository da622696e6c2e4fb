//! INF files: the text that describes a driver package.
//!
//! The format is described in Microsoft's "INF file sections and directives"; drivers.md 1 has the rules with their
//! sources. Nothing here reads files, knows an image or installs anything: it turns bytes into what they say, and says
//! where (line and column) they make no sense.
//!
//! Bottom up: [`encoding`] → [`lexer`] → [`section`] with [`strings`] and [`directory`] ids; then [`version`], [`models`]
//! with [`decoration`]s, and [`install`] with [`files`], [`registry`] and [`service`].

pub mod decoration;
pub mod directory;
pub mod encoding;
pub mod files;
pub mod install;
pub mod lexer;
pub mod models;
pub mod registry;
pub mod section;
pub mod service;
pub mod strings;
pub mod version;

pub use decoration::{TargetWindows, Undecorated};
pub use directory::Directory;
pub use files::FileCopy;
pub use install::{IncludedInfs, Install, NoIncludes};
pub use lexer::{Entry, Field, Position};
pub use models::{Model, Models};
pub use section::{Inf, ParseOptions, Section};
pub use service::Service;
pub use version::{DriverVer, Version};
