//! libFuzzer target of the oracle `wim::metadata_file_is_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::wim::metadata_file_is_read_or_refused(data));
