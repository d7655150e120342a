//! Is any text of `sekisho.toml` taken whole or refused with its line?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::config(data);
});
