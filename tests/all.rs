//! Does the whole hold together, seen from outside?

#[cfg(test)]
mod attack;
#[cfg(test)]
mod collection;
#[cfg(test)]
mod flight;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod loads;
#[cfg(test)]
mod misuse;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod program;
#[cfg(test)]
mod shared_data;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod typing;

/// Past the test harness's capture: the figures that some tests exist to show.
#[cfg(test)]
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
