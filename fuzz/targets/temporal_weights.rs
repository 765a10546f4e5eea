#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| abaw_fuzz::temporal_weights(bytes));
