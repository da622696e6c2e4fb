//! Finding and describing repetitions inside one chunk.

mod binary_trees;
pub mod copy_match;
mod hash_chains;
mod match_length;
mod match_list;
mod noise;
mod position;
mod recent_offsets;

pub use binary_trees::{BinaryTrees, MatchLimits};
pub use hash_chains::{Found, HashChains, SearchEffort};
pub use match_length::PaddedChunk;
pub(crate) use match_length::{load_u32, match_length};
pub use match_list::{Match, MatchEntry, MatchList, WideMatch};
pub use noise::NoiseTest;
pub use position::{PackedPosition, Position};
pub use recent_offsets::RecentOffsets;
