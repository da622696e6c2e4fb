//! libFuzzer target of the oracle `hive::hive_logs_are_replayed_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::hive::hive_logs_are_replayed_or_refused(data));
