//! libFuzzer target of the oracle `wim::descriptor_has_a_text_or_none`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::wim::descriptor_has_a_text_or_none(data));
