//! Does any proof verify that is not the tree's own?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::trees(data);
});
