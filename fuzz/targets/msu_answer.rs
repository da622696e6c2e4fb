//! libFuzzer target of the oracle `updates::msu_answer_is_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::updates::msu_answer_is_read_or_refused(data));
