//! Which disclosure rules can a permit or a data set call for after the noise?
//!
//! A pack works on noised counts alone. Here it is read; where it is applied is not decided here.

use std::{collections::BTreeMap, num::NonZeroU32};

use serde::Deserialize;

use super::fault::PolicyFault;

/// One file of `policies/rules/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePack {
    /// What permits name it by; also the name of its file.
    pub name: String,
    /// What it does, in English.
    pub en: String,
    /// What it does, in Japanese.
    pub ja: String,
    /// Noised counts under this are hidden, and with them every figure of their row.
    pub hide_below: Option<NonZeroU32>,
    /// How the noised counts that remain are rounded.
    pub round: Option<Rounding>,
}

/// How a noised count is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Rounding {
    /// To the nearest multiple.
    Nearest {
        /// Of this.
        to: NonZeroU32,
    },
    /// To the middle of its band: 1 to 6 become 3, 7 to 12 become 9 where the band is 6; 0 stays.
    Midpoint {
        /// The width of a band.
        to: NonZeroU32,
    },
}

/// The packs of these files, by name; the keys of `texts` are file names without `.toml`.
pub(super) fn read(texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, RulePack>, PolicyFault> {
    texts.iter().map(|(name, text)| Ok((name.clone(), read_one(name, text)?))).collect()
}

fn read_one(name: &str, text: &str) -> Result<RulePack, PolicyFault> {
    let file = format!("rules/{name}.toml");
    let pack: RulePack = toml::from_str(text).map_err(|e| PolicyFault::toml(&file, text, &e))?;
    match pack.name == name {
        true => Ok(pack),
        false => Err(PolicyFault::wrong(&file, 1, format!("is called {:?} inside", pack.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packs_say_what_their_names_say() {
        let packs = super::super::files::PolicyFiles::embedded().rules;
        let packs = read(&packs).unwrap();
        assert_eq!(packs.keys().collect::<Vec<_>>(), ["jp-ndb", "midpoint-6", "none", "round-5-redact-7"]);
        let of = |name: &str| packs.get(name).map(|p| (p.hide_below.map(NonZeroU32::get), p.round)).unwrap();
        let n = |n| NonZeroU32::new(n).unwrap();
        assert_eq!(of("none"), (None, None));
        assert_eq!(of("jp-ndb"), (Some(10), None));
        assert_eq!(of("round-5-redact-7"), (Some(8), Some(Rounding::Nearest { to: n(5) })));
        assert_eq!(of("midpoint-6"), (None, Some(Rounding::Midpoint { to: n(6) })));
    }

    #[test]
    fn a_wrong_pack_is_named_with_its_line() {
        let good = "name = \"x\"\nen = \"e\"\nja = \"j\"\n";
        assert!(read_one("x", good).is_ok());
        for (add, reason) in [
            ("hide_below = 0", "rules/x.toml:4: invalid value"),
            ("round = { kind = \"up\", to = 5 }", "unknown variant"),
            ("round = { kind = \"nearest\", to = 0 }", "nonzero"),
            ("hide = 3", "rules/x.toml:4: unknown field"),
        ] {
            let fault = read_one("x", &format!("{good}{add}\n")).unwrap_err().to_string();
            assert!(fault.contains(reason), "{fault}");
        }
        assert!(read_one("y", good).unwrap_err().to_string().contains("is called \"x\" inside"));
    }
}
