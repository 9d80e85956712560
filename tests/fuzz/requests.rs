//! The fuzzer: any bytes as what a caller sends over HTTP/1.
#![no_main]

mod request_claims;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request_claims::hold(bytes));
