//! Fuzz oracles: one plain function each.

pub mod drivers;
