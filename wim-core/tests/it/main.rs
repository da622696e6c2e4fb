//! Integration tests of `wim-core`, one binary so that there is one link; a module per subject.

mod capture_apply;
mod container;
mod sample_wim;
mod samples;
mod tree_load;
mod tree_overlay;
mod tree_real_files;
mod tree_round_trip;
mod verify;
