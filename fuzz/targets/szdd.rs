//! libFuzzer target of the oracle `drivers::szdd_is_expanded_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::drivers::szdd_is_expanded_or_refused(data));
