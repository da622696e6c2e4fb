//! libFuzzer target of the oracle `codecs::encoded_chunks_decode`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::codecs::encoded_chunks_decode(data));
