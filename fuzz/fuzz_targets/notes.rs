//! Does any note, receipt, proof or request verify that nobody signed?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::notes(data);
});
