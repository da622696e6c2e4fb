//! libFuzzer target of the oracle `drivers::hardware_ids_are_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::drivers::hardware_ids_are_read_or_refused(data));
