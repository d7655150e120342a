//! Who else has seen the log, so that it cannot be rolled back or shown in two versions?
//!
//! Floor 9. A witness is a small server of somebody else, such as the ethics body, with a key and a folder of its own. It
//! cosigns a checkpoint only where a proof shows that the tree it cosigned before is its beginning and that no account of
//! the ledger has fallen (`notary.rs`). The gateway asks it at every published checkpoint (`publisher.rs`).

mod client;
mod notary;
mod publisher;
mod server;

pub use client::{ClientFault, Reply, WitnessAddress};
pub use notary::{Notary, Verdict, WitnessFault};
pub use publisher::{Publisher, newest_known};
pub use server::serve;
