//! What has this session set?

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::deadline::Rung;
use crate::{
    identity::{Principal, SessionId, Tokens},
    privacy::Asked,
    terms::{PermitId, Refusal},
};

/// One signed-in session: a principal and its settings.
pub struct Session {
    id: SessionId,
    principal: Principal,
    settings: Mutex<Settings>,
}

/// The settings of interface.md.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) permit: Option<PermitId>,
    pub(super) epsilon: Option<f64>,
    pub(super) accuracy: Option<f64>,
    pub(super) asked: Asked,
    pub(super) deadline: Option<Rung>,
    pub(super) rules: Option<String>,
}

impl Session {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).set(name, value)
    }
}

impl Settings {
    /// Names and values as text, those without a value left out.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        let all = [
            ("permit", self.permit.as_ref().map(ToString::to_string)),
            ("epsilon", self.epsilon.map(|v| v.to_string())),
            ("accuracy", self.accuracy.map(|v| v.to_string())),
            ("rows_per_group", self.asked.rows_per_group.map(|v| v.to_string())),
            ("groups", self.asked.groups.map(|v| v.to_string())),
            ("distinct_values", self.asked.distinct_values.map(|v| v.to_string())),
            ("display", self.asked.non_negative.then(|| "non_negative".to_owned())),
            ("intervals", self.asked.intervals.then(|| "on".to_owned())),
            ("deadline", self.deadline.map(|v| v.to_string())),
            ("rules", self.rules.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((format!("sekisho.{name}"), value?))).collect()
    }

    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let wrong = |what: &str| Refusal::UnknownSetting { hint: format!("sekisho.{name} is {what}") };
        let positive = |what: &str| match value.map(str::parse::<f64>) {
            None => Ok(None),
            Some(Ok(number)) if number.is_finite() && number > 0.0 => Ok(Some(number)),
            Some(_) => Err(wrong(what)),
        };
        let count = |what: &str| match value.map(str::parse::<u32>) {
            None => Ok(None),
            Some(Ok(number)) if (1..=65_536).contains(&number) => Ok(Some(number)),
            Some(_) => Err(wrong(what)),
        };
        match name {
            "permit" => {
                self.permit =
                    value.map(PermitId::new).transpose().map_err(|_| wrong("a permit such as 'P-2026-0001'"))?;
            }
            "epsilon" => self.epsilon = positive("a number above zero")?,
            "accuracy" => self.accuracy = positive("a half-width above zero")?,
            "rows_per_group" => self.asked.rows_per_group = count("a whole number from 1 to 65536")?,
            "groups" => self.asked.groups = count("a whole number from 1 to 65536")?,
            "distinct_values" => self.asked.distinct_values = count("a whole number from 1 to 65536")?,
            "display" => {
                self.asked.non_negative = match value {
                    Some("non_negative") => true,
                    None | Some("raw") => false,
                    Some(_) => return Err(wrong("raw or non_negative")),
                };
            }
            "intervals" => {
                self.asked.intervals = match value {
                    Some("on" | "true" | "1") => true,
                    None | Some("off" | "false" | "0") => false,
                    Some(_) => return Err(wrong("on or off")),
                };
            }
            "deadline" => {
                let ladder = "one of 0.25, 1, 4, 16, 64, 256, 1024 seconds";
                self.deadline = match positive(ladder)? {
                    None => None,
                    Some(seconds) => Some(Rung::of_seconds(seconds).ok_or_else(|| wrong(ladder))?),
                };
            }
            "rules" => match value {
                None | Some("none") => self.rules = value.map(str::to_owned),
                Some(_) => return Err(wrong("none: no stricter rule pack is applied by this version")),
            },
            _ => return Err(Refusal::UnknownSetting { hint: format!("there is no setting sekisho.{name}") }),
        }
        Ok(())
    }
}

/// The sessions of all living tokens.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: Mutex<HashMap<SessionId, Arc<Session>>>,
}

impl Sessions {
    pub(super) fn of(&self, id: SessionId, principal: Principal) -> Arc<Session> {
        let mut sessions = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Session { id, principal, settings: Mutex::default() });
        Arc::clone(sessions.entry(id).or_insert_with(new))
    }

    pub(super) fn drop_dead(&self, tokens: &Tokens) {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| tokens.living(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_takes_its_values_and_no_others() {
        for (name, good, bad) in [
            ("permit", "P-2026-0001", "2026"),
            ("epsilon", "0.5", "-1"),
            ("accuracy", "50", "nan"),
            ("rows_per_group", "4", "0"),
            ("groups", "8", "x"),
            ("distinct_values", "32", "-2"),
            ("display", "non_negative", "rounded"),
            ("intervals", "on", "perhaps"),
            ("deadline", "16", "17"),
            ("rules", "none", "jp-ndb"),
        ] {
            let mut settings = Settings::default();
            assert_eq!(settings.set(name, Some(good)), Ok(()), "{name}");
            assert_eq!(settings.list(), [(format!("sekisho.{name}"), good.to_owned())]);
            assert!(settings.set(name, Some(bad)).is_err(), "{name} = {bad}");
            assert_eq!(settings.set(name, None), Ok(()));
            assert_eq!(settings, Settings::default(), "{name} taken back");
        }
        assert!(Settings::default().set("batch_size", Some("1")).is_err());
    }
}
