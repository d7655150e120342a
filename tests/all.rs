//! Does the whole hold together, seen from outside?

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod shared_data;
