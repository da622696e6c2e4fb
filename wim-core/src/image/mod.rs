//! One image: its tree of names and files, and edits to it.
//!
//! A tree knows digests, not compression; what the bytes behind a digest are comes through [`edit::content`] and
//! [`blobs`]. Nothing here reads a WIM file: `transfer` brings metadata and blobs in and out.
//!
//! - [`tree`], [`node`]: names and the files behind them. [`walk`]: every name of a tree.
//! - [`graft`]: parts of one tree put into another, and moved. [`load`], [`store`]: a tree from the bytes of a metadata resource, and back.
//! - [`edit`]: what servicing may ask for, and a tree with it done.

pub mod blobs;
pub mod descriptors;
pub mod edit;
pub mod findings;
pub mod glob;
pub mod graft;
pub mod load;
pub mod node;
pub mod path;
pub mod store;
pub mod totals;
pub mod tree;
pub mod walk;

pub use blobs::BlobSource;
pub use findings::{Finding, FindingKind};
pub use graft::{ExistingFiles, GraftRules};
pub use node::{Inode, InodeId, Node, NodeId, Reparse, Stream, StreamKind, Streams};
pub use path::WimPath;
pub use totals::ImageCounts;
pub use tree::Tree;
