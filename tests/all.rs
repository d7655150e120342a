//! Does the whole hold together, seen from outside?

#[cfg(test)]
mod misuse;
#[cfg(test)]
mod tidy;
