//! Choosing which matches to use: greedily, with one position of look-ahead, or by cheapest path.

mod backward;
mod first_guess;
mod greedy;
mod lazy;
mod near_optimal;
#[cfg(test)]
mod path_sample;
mod quick;

pub use backward::BackwardPaths;
pub use first_guess::first_guess;
pub use greedy::greedy;
pub use lazy::{ItemSink, LazyRules, lazy, lazy_from};
pub use near_optimal::{GapEdges, MAX_EDGE, PathCosts, PathFinder, PathInput, PathModel, ROW};
pub use quick::{QuickTable, quick_from};
