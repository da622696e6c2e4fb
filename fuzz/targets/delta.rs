//! libFuzzer target of the oracle `deltas::delta_is_applied_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::deltas::delta_is_applied_or_refused(data));
