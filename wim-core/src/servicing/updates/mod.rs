//! Updates: what a package brings, what an image has, and what the one would do to the other.
//!
//! Sources: updates.md 3, 4, 5 and 7. Everything is judged from the package's own manifests and from the image's records;
//! a table adds what Windows 7 packages do not say themselves. Nothing here changes an image, and nothing forces an update
//! that the image's own servicing stack would refuse.
//!
//! | file | subject |
//! |---|---|
//! | `names.rs` | the hash of an identity, key forms, names of registry values |

pub mod names;
