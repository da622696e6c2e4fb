//! libFuzzer target of the oracle `wim::pipe_is_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::wim::pipe_is_read_or_refused(data));
