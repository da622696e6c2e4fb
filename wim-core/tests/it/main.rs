//! Integration tests of `wim-core`, one binary so that there is one link; a module per subject.

mod container;
mod driver_image;
mod driver_packages;
mod drivers_level_a;
mod drivers_real;
mod drivers_remove;
mod inf_corpus;
mod samples;
mod tree_load;
mod tree_overlay;
mod tree_real_files;
mod tree_round_trip;
mod verify;
