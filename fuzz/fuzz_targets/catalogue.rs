//! Is any catalogue model taken whole or refused with its line?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::catalogue(data);
});
