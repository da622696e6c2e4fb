//! libFuzzer target of the oracle `discs::disc_is_read_or_refused`, for seeds of iso9660.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::discs::disc_is_read_or_refused(data));
