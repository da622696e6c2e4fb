//! Choosing which matches to use: greedily, with one position of look-ahead, or by cheapest path.

mod greedy;
mod lazy;

pub use greedy::greedy;
pub use lazy::{ItemSink, LazyRules, lazy};
