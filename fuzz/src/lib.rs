//! Fuzz oracles: one plain function each.
