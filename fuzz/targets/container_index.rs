//! libFuzzer target of the oracle `deltas::index_is_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::deltas::index_is_read_or_refused(data));
