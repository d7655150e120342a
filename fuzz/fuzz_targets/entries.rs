//! Is any export of the log read, verified and replayed without harm?
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

// A panic that the program catches is an end like others; libFuzzer would abort in its hook.
libfuzzer_sys::fuzz_target!(init: drop(std::panic::take_hook()), |data: &[u8]| {
    let _end = bodies::entries(data);
});
