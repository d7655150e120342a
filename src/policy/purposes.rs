//! For which purposes may data be used, and for which never?

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::fault::{PolicyFault, line_at};
use crate::terms::{Language, PurposeCode};

const PURPOSES: &str = "purposes.toml";
const PROHIBITED: &str = "prohibited.toml";
const EHDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "none"];

/// A purpose of the closed list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// What permits name it by.
    pub code: PurposeCode,
    /// Its English name.
    pub en: String,
    /// Its Japanese name.
    pub ja: String,
    /// The term of the Data Use Ontology, such as `DUO:0000039`.
    pub duo: String,
    /// The category of Article 53(1) of Regulation (EU) 2025/327: `a` to `f`, or `none`.
    pub ehds: String,
    /// Whether it counts as public benefit; if not, no permit can be granted for it.
    pub public_benefit: bool,
}

impl Purpose {
    /// Its name in a language.
    #[must_use]
    pub fn name(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ja => &self.ja,
        }
    }
}

/// A use that no permit can allow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProhibitedUse {
    /// What it is called by.
    pub code: PurposeCode,
    /// Its English name.
    pub en: String,
    /// Its Japanese name.
    pub ja: String,
    /// The paragraph of Regulation (EU) 2025/327 that prohibits it too.
    pub ehds: String,
}

/// Both lists.
#[derive(Debug, Clone)]
pub(super) struct Purposes {
    pub listed: BTreeMap<PurposeCode, Purpose>,
    pub prohibited: BTreeMap<PurposeCode, ProhibitedUse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposesText {
    purpose: Vec<Spanned<Purpose>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProhibitedText {
    #[serde(rename = "use")]
    uses: Vec<Spanned<ProhibitedUse>>,
}

impl Purposes {
    /// The lists of the two texts.
    pub fn read(purposes: &str, prohibited: &str) -> Result<Self, PolicyFault> {
        let read: ProhibitedText =
            toml::from_str(prohibited).map_err(|e| PolicyFault::toml(PROHIBITED, prohibited, &e))?;
        let mut never = BTreeMap::new();
        for one in read.uses {
            let line = line_at(prohibited, one.span().start);
            let one = one.into_inner();
            if never.contains_key(&one.code) {
                return Err(PolicyFault::wrong(PROHIBITED, line, format!("{} stands here twice", one.code)));
            }
            never.insert(one.code.clone(), one);
        }
        let read: PurposesText = toml::from_str(purposes).map_err(|e| PolicyFault::toml(PURPOSES, purposes, &e))?;
        let mut listed = BTreeMap::new();
        for one in read.purpose {
            let line = line_at(purposes, one.span().start);
            let one = one.into_inner();
            sound(&one, &listed, &never).map_err(|reason| PolicyFault::wrong(PURPOSES, line, reason))?;
            listed.insert(one.code.clone(), one);
        }
        Ok(Self { listed, prohibited: never })
    }
}

fn sound(
    one: &Purpose,
    listed: &BTreeMap<PurposeCode, Purpose>,
    never: &BTreeMap<PurposeCode, ProhibitedUse>,
) -> Result<(), String> {
    let duo = one.duo.strip_prefix("DUO:").is_some_and(|d| d.len() == 7 && d.bytes().all(|b| b.is_ascii_digit()));
    let refused = [
        (listed.contains_key(&one.code), "stands here twice"),
        (never.contains_key(&one.code), "is a prohibited use"),
        (one.en.is_empty() || one.ja.is_empty(), "needs a name in both languages"),
        (!duo, "has no term of the form DUO:0000000"),
        (!EHDS.contains(&one.ehds.as_str()), "has no category a to f, or none"),
        (one.public_benefit && one.ehds == "none", "counts as public benefit but has no category"),
    ];
    match refused.iter().find(|(wrong, _)| *wrong) {
        Some((_, reason)) => Err(format!("{} {reason}", one.code)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = include_str!("../../policies/purposes.toml");
    const NEVER: &str = include_str!("../../policies/prohibited.toml");

    #[test]
    fn our_own_lists_cover_the_prohibited_uses_and_every_category() {
        let ours = Purposes::read(LISTED, NEVER).unwrap();
        let never: Vec<_> = ours.prohibited.keys().map(PurposeCode::as_str).collect();
        assert_eq!(
            never,
            [
                "education-decisions",
                "employment-decisions",
                "insurance-decisions",
                "lending-decisions",
                "marketing-to-individuals",
                "re-identification"
            ]
        );
        for category in EHDS {
            assert!(ours.listed.values().any(|p| p.ehds == category), "{category}");
        }
    }

    #[test]
    fn a_prohibited_use_cannot_be_listed_as_a_purpose() {
        let listed = LISTED.replace("code = \"market-analysis\"", "code = \"insurance-decisions\"");
        let fault = Purposes::read(&listed, NEVER).unwrap_err().to_string();
        assert!(fault.starts_with("purposes.toml:") && fault.ends_with("is a prohibited use"), "{fault}");
    }

    #[test]
    fn a_wrong_purpose_is_named_with_its_line() {
        for (from, to, reason) in [
            ("code = \"epidemiology\"", "code = \"drug-safety\"", "stands here twice"),
            ("code = \"epidemiology\"", "code = \"Epidemiology!\"", "purpose"),
            ("duo = \"DUO:0000039\"", "duo = \"DUO:39\"", "no term of the form"),
            ("ehds = \"f\"", "ehds = \"g\"", "no category"),
            ("public_benefit = false", "public_benefit = true", "has no category"),
            ("public_benefit = false", "public_benefit = \"no\"", "invalid type"),
        ] {
            let fault = Purposes::read(&LISTED.replacen(from, to, 1), NEVER).unwrap_err().to_string();
            assert!(fault.starts_with("purposes.toml:") && fault.contains(reason), "{to}: {fault}");
        }
    }
}
