//! The integration tests of the library, one binary: each file is about one room or one question.

mod data;
mod tree_load;
mod tree_real_files;
mod tree_round_trip;
