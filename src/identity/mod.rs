//! Who is asking?
//!
//! Floor 3. The only door to a [`Principal`] is a correct password or a living token, so that whoever holds one need
//! not ask again. Every way of failing is the same `NotSignedIn`.

mod password;
mod principal;
mod token;

pub use password::{PasswordFault, Passwords};
pub use principal::Principal;
pub use token::{BearerToken, SessionId, TokenFault, Tokens};
