//! How do people and machines ask over the network?
//!
//! One Flight SQL server over TLS. `door.rs` holds the calls of the protocol; each file beside it answers one group of
//! commands. Nothing is decided here: every call is authenticated, handed to the gateway and its answer passed on.

mod actions;
mod caller;
mod catalogue;
mod connections;
mod desk;
mod door;
mod facts;
mod keys;
mod limits;
mod options;
mod outflow;
mod parameters;
mod prepared;
mod question;
mod serve;
mod sign_in;
mod tls;
mod waiting;
mod words;

pub use caller::HEADER_PREFIX;
pub use limits::DoorLimits;
pub use parameters::{bound_row, read_parameters};
pub use serve::{FlightFault, serve};
pub use tls::{ServerIdentity, Tls, TlsFault};
pub use words::{ACTION_PREFIX, CODE_HEADER};
