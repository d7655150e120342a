//! How are settings made and read by Flight session options?
//!
//! The arrow-flight crate does not know these messages; they are written here after `Flight.proto`.

use std::collections::HashMap;

use prost::{Message, bytes::Bytes};

use super::{caller::Caller, desk::Desks, words::No};

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Switch(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Number(f64),
    #[prost(message, tag = "5")]
    Texts(OptionTexts),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionTexts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum OptionFault {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionFault", tag = "1")]
    pub(super) value: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

const CLOSED: i32 = 1;

/// Each option is tried by itself; those refused come back by name.
pub(super) async fn set(caller: &Caller, body: &[u8]) -> Result<Bytes, No> {
    let request = SetSessionOptionsRequest::decode(body).map_err(|_| No::malformed())?;
    let mut errors = HashMap::new();
    for (name, value) in request.options {
        if let Err(fault) = set_one(caller, &name, value).await {
            errors.insert(name, OptionError { value: fault.into() });
        }
    }
    Ok(SetSessionOptionsResult { errors }.encode_to_vec().into())
}

async fn set_one(caller: &Caller, name: &str, value: SessionOptionValue) -> Result<(), OptionFault> {
    let value = match value.value {
        Some(OptionValue::Text(text)) => text,
        Some(OptionValue::Switch(on)) => if on { "on" } else { "off" }.to_owned(),
        Some(OptionValue::Integer(integer)) => integer.to_string(),
        Some(OptionValue::Number(number)) => number.to_string(),
        Some(OptionValue::Texts(_)) => return Err(OptionFault::InvalidValue),
        // No value: the option is unset.
        None => String::new(),
    };
    match name {
        // What drivers set on their own account: there is one catalog.
        "catalog" if value == super::catalogue::CATALOG => Ok(()),
        _ if !name.starts_with("sekisho.") => Err(OptionFault::InvalidName),
        _ => caller.gateway.set(&caller.session, name, &value).await.map_err(|_| OptionFault::InvalidValue),
    }
}

/// All settings of the session.
pub(super) async fn get(caller: &Caller) -> Bytes {
    let settings = caller.gateway.settings(&caller.session).await;
    let text = |value| SessionOptionValue { value: Some(OptionValue::Text(value)) };
    let options = settings.into_iter().map(|(name, value)| (name, text(value))).collect();
    GetSessionOptionsResult { options }.encode_to_vec().into()
}

/// Ends the session: its token is worth nothing from here on.
pub(super) async fn close(caller: &Caller, desks: &Desks) -> Bytes {
    caller.gateway.sign_out(&caller.session).await;
    desks.clear(&caller.session);
    CloseSessionResult { status: CLOSED }.encode_to_vec().into()
}
