//! libFuzzer target of the oracle `codecs::lzms_equals_reference`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::codecs::lzms_equals_reference(data));
