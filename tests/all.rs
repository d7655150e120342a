//! Does the whole hold together, seen from outside?

mod oracle;
