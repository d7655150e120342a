//! Does any SQL text end as a refusal of ours or a priced question?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _end = bodies::admission(data);
});
