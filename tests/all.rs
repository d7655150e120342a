//! Does the whole hold together, seen from outside?

#[cfg(test)]
mod collection;
#[cfg(test)]
mod flight;
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
mod shared_data;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod typing;
