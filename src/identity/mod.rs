//! Who is asking?
//!
//! Floor 3. The only door to a [`Principal`] is a correct password, a registered certificate or a living token, so that whoever holds one need
//! not ask again. Every way of failing is the same `NotSignedIn`.

mod certificate;
mod oidc;
mod password;
mod principal;
mod provider;
mod throttle;
mod token;

pub use certificate::recognise;
pub use oidc::{Claimed, OidcConfig, federate, is_federated};
pub use password::{PasswordFault, Passwords};
pub use principal::Principal;
pub use provider::{Oidc, OidcFault};
pub use throttle::{Attempt, Throttle};
pub use token::{BearerToken, OpenSession, Origin, SessionId, SessionName, TokenFault, Tokens, Way};
