//! PA30 deltas: how one file of an update package is rebuilt from another.
//!
//! [`apply`](apply::apply) takes a reference (often empty) and a delta and gives the target, proved by the digest that the
//! delta states. The bytes go through three stages, each a file here: the outer layer ([`header`]), the transforms that
//! make a PE reference resemble its target ([`preprocess`], [`pe_transforms`], with the arithmetic of [`rift`]), and an
//! LZ77 stream whose window is the transformed reference (`patch_stream`). [`manifest`] has the compressed files of a
//! component store, [`psf`] the payload files of later packages.
//!
//! The formats are public knowledge only: the work of jlevere/msdelta and smilingthax/msdelta-pa30-format, checked on real
//! packages. It applies deltas and never makes any; reverse deltas, PA19 and IA-64 and ARM images are refused by name.

pub mod apply;
mod bits;
mod e8;
pub mod header;
mod huffman;
pub mod manifest;
mod patch_stream;
pub mod pe_transforms;
pub mod preprocess;
pub mod psf;
pub mod rift;
