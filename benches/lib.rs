//! Seeded corpora, the judge of the gate on instructions and adapters for rivals, shared by the benches of this folder.

pub mod corpus;
pub mod gate;
pub mod rivals;
