//! Is any export of the log read, verified and replayed without harm?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::entries(data);
});
