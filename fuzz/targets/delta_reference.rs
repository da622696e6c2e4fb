//! libFuzzer target of the oracle `deltas::reference_is_transformed_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::deltas::reference_is_transformed_or_refused(data));
