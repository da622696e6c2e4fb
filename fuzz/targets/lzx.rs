//! libFuzzer target of the oracle `codecs::lzx_equals_reference`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::codecs::lzx_equals_reference(data));
