//! libFuzzer target of the oracle `updates::psf_is_read_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::updates::psf_is_read_or_refused(data));
