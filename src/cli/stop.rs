//! How does a verb end that did not do what it was asked?

use std::{error::Error, io};

use super::client::ClientFault;

/// The end of a verb that failed, with what standard error says.
#[derive(Debug)]
pub enum Stop {
    /// Something is broken: exit status 1.
    Fault(String),
    /// It was asked for in a wrong way: exit status 2.
    Usage(String),
    /// The gateway refused: exit status 3.
    Refused(String),
    /// Everything was said already.
    Said(u8),
}

impl Stop {
    /// A fault in the words of `fault` and of all that caused it.
    pub fn fault(fault: &dyn Error) -> Self {
        Self::Fault(words(fault))
    }

    /// Wrong usage in the words of `fault` and of all that caused it.
    pub fn usage(fault: &dyn Error) -> Self {
        Self::Usage(words(fault))
    }

    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Fault(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::Said(status) => *status,
        }
    }

    /// What standard error is to say, if anything.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Fault(words) | Self::Usage(words) | Self::Refused(words) => Some(words),
            Self::Said(_) => None,
        }
    }
}

impl From<ClientFault> for Stop {
    fn from(fault: ClientFault) -> Self {
        match fault.exit_status() {
            3 => Self::Refused(words(&fault)),
            2 => Self::Usage(words(&fault)),
            _ => Self::Fault(words(&fault)),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(fault: io::Error) -> Self {
        match fault.kind() {
            // A reader that has seen enough, such as `head`, is no fault.
            io::ErrorKind::BrokenPipe => Self::Said(0),
            _ => Self::Fault(format!("the output could not be written: {fault}")),
        }
    }
}

macro_rules! faults {
    ($($fault:ty),* $(,)?) => {
        $(impl From<$fault> for Stop {
            fn from(fault: $fault) -> Self {
                Self::fault(&fault)
            }
        })*
    };
}

faults!(
    crate::catalog::CatalogFault,
    crate::certificates::CertificateFault,
    crate::config::ConfigFault,
    crate::flight::FlightFault,
    crate::gateway::GatewayFault,
    crate::flight::TlsFault,
    crate::identity::OidcFault,
    crate::identity::PasswordFault,
    crate::keys::KeysFault,
    crate::policy::PolicyFault,
    crate::record::BooksFault,
    crate::record::ProofFault,
    crate::record::ReceiptFault,
    crate::record::VerifierFault,
    crate::record::VerifyFault,
    crate::store::StoreFault,
    crate::synth::SynthFault,
    crate::telemetry::FiguresFault,
    crate::telemetry::TracesFault,
    crate::witness::WitnessFault,
);

/// The sentence of a fault and those of its causes.
fn words(fault: &dyn Error) -> String {
    let mut words = fault.to_string();
    let mut cause = fault.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = next.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_that_of_the_interface() {
        let refused = ClientFault::Refused { code: "no_permit".into(), message: "no_permit: ...".into() };
        assert_eq!(Stop::from(refused).status(), 3);
        assert_eq!(Stop::from(ClientFault::Address { url: "x".into() }).status(), 2);
        assert_eq!(Stop::from(ClientFault::Protocol("x".into())).status(), 1);
        assert_eq!(Stop::from(io::Error::from(io::ErrorKind::BrokenPipe)).status(), 0);
    }

    #[test]
    fn the_cause_is_said_once() {
        let cause = io::Error::other("disk full");
        let stop = Stop::fault(&crate::keys::KeysFault::Make { path: "keys".into(), source: cause });
        assert_eq!(stop.words(), Some("cannot make keys: disk full"));
    }
}
