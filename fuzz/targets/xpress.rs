//! libFuzzer target of the oracle `codecs::xpress_equals_reference`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::codecs::xpress_equals_reference(data));
