//! libFuzzer target of the oracle `hive::reg_file_survives_a_round_trip`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::hive::reg_file_survives_a_round_trip(data));
