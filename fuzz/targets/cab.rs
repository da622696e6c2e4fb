//! libFuzzer target of the oracle `cab::cabinet_is_unpacked_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::cab::cabinet_is_unpacked_or_refused(data));
