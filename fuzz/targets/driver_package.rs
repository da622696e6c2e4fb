//! libFuzzer target of the oracle `drivers::package_is_planned_or_refused`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::drivers::package_is_planned_or_refused(data));
