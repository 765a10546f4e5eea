#![no_main]

// Panics of the Parquet library are caught; libFuzzer's hook would abort at them. One that is not caught still aborts.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| abaw_fuzz::features(bytes)
);
