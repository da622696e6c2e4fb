//! Matches: copying them.

pub mod copy_match;
