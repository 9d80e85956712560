//! The fuzzer: any bytes as a configuration.
#![no_main]

mod claims;

libfuzzer_sys::fuzz_target!(|content: &[u8]| claims::hold(content));
