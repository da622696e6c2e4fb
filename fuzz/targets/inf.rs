//! libFuzzer target of the oracle `drivers::inf_is_read_whole`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::drivers::inf_is_read_whole(data));
