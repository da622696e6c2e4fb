//! Seeded corpora and adapters for rivals, shared by the benches of this folder.

pub mod corpus;
pub mod rivals;
