//! libFuzzer target of the oracle `wim::wim_is_verified_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::wim::wim_is_verified_or_refused(data));
