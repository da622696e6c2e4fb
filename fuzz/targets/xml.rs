//! libFuzzer target of the oracle `wim::xml_survives_a_round_trip`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wim_fuzz::wim::xml_survives_a_round_trip(data));
