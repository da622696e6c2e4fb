//! Integration tests of `wim-core`, one binary so that there is one link; a module per subject.

#![allow(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod cab_extract;
mod cab_real;
mod cab_search;
mod cab_write;
mod capture_apply;
mod container;
mod corpus;
mod delta_transforms;
mod delta_writer;
mod deltas;
mod diff;
mod disc_writer;
mod discs;
mod driver_corpus;
mod driver_image;
mod driver_packages;
mod drivers_checks;
mod drivers_explain;
mod drivers_golden;
mod drivers_hostile;
mod drivers_level_a;
mod drivers_level_b;
mod drivers_lost_list;
mod drivers_real;
mod drivers_remove;
mod drivers_winpe;
mod hive_edits;
mod hive_files;
mod hive_hostile;
mod hive_logs;
mod inf_corpus;
mod ntfs;
mod odd_bytes;
mod package_expand;
mod packages;
mod pe_image;
mod pipable;
mod random_reads;
mod reg_files;
mod rich_tree;
mod sample_wim;
mod samples;
mod side_file;
mod signed_catalogs;
mod solid;
mod tree_load;
mod tree_overlay;
mod tree_real_files;
mod tree_round_trip;
#[cfg(target_os = "linux")]
mod unix_data;
mod updates_check;
mod updates_compressed;
mod updates_fixture;
mod updates_hostile;
mod updates_plan;
mod updates_real;
mod verify;
