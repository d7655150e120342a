//! Where does the text of the policy come from?

use std::{collections::BTreeMap, fs, io, path::Path};

use sha2::{Digest, Sha256};

use super::fault::PolicyFault;

/// No policy file is longer.
const BYTES_MAX: u64 = 1 << 20;

macro_rules! embedded {
    ($name:literal) => {
        include_str!(concat!("../../policies/", $name))
    };
}

/// The text of every policy file: what is built in, with the files of a folder in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles {
    /// `model.conf`: how a request meets a rule.
    pub model: String,
    /// `roles.toml`: what each role may do.
    pub roles: String,
    /// `purposes.toml`: the closed list of purposes.
    pub purposes: String,
    /// `prohibited.toml`: uses that no permit can allow.
    pub prohibited: String,
    /// `cases.toml`: examples that must come out as written.
    pub cases: String,
    /// `roles.golden`: the whole matrix.
    pub golden: String,
    /// `rules/NAME.toml` by NAME.
    pub rules: BTreeMap<String, String>,
}

impl PolicyFiles {
    /// What is built in.
    #[must_use]
    pub fn embedded() -> Self {
        let rules = [
            ("none", embedded!("rules/none.toml")),
            ("jp-ndb", embedded!("rules/jp-ndb.toml")),
            ("round-5-redact-7", embedded!("rules/round-5-redact-7.toml")),
            ("midpoint-6", embedded!("rules/midpoint-6.toml")),
        ];
        Self {
            model: embedded!("model.conf").into(),
            roles: embedded!("roles.toml").into(),
            purposes: embedded!("purposes.toml").into(),
            prohibited: embedded!("prohibited.toml").into(),
            cases: embedded!("cases.toml").into(),
            golden: embedded!("roles.golden").into(),
            rules: rules.into_iter().map(|(name, text)| (name.into(), text.into())).collect(),
        }
    }

    /// What is built in, with each file that `dir` has in its place.
    ///
    /// # Errors
    /// [`PolicyFault::Unreadable`] names a file that is there but cannot be read.
    pub fn read(dir: &Path) -> Result<Self, PolicyFault> {
        let mut files = Self::embedded();
        for (name, text) in [
            ("model.conf", &mut files.model),
            ("roles.toml", &mut files.roles),
            ("purposes.toml", &mut files.purposes),
            ("prohibited.toml", &mut files.prohibited),
            ("cases.toml", &mut files.cases),
            ("roles.golden", &mut files.golden),
        ] {
            if let Some(own) = read_if_there(dir, name)? {
                *text = own;
            }
        }
        for name in rule_names(dir)? {
            if let Some(own) = read_if_there(dir, &format!("rules/{name}.toml"))? {
                files.rules.insert(name, own);
            }
        }
        Ok(files)
    }

    /// What is built in, with these texts in the place of the files of those names: as [`PolicyFiles::deciding`] gave them.
    #[must_use]
    pub fn of_texts(texts: &BTreeMap<String, String>) -> Self {
        let mut files = Self::embedded();
        files.rules.clear();
        for (name, text) in texts {
            match name.as_str() {
                "model.conf" => files.model.clone_from(text),
                "roles.toml" => files.roles.clone_from(text),
                "purposes.toml" => files.purposes.clone_from(text),
                "prohibited.toml" => files.prohibited.clone_from(text),
                other => {
                    let rule = other.strip_prefix("rules/").and_then(|name| name.strip_suffix(".toml"));
                    rule.map(|name| files.rules.insert(name.to_owned(), text.clone()));
                }
            }
        }
        files
    }

    /// Every file as (name, text), for whoever writes them out (`init`).
    pub fn all(&self) -> impl Iterator<Item = (String, &str)> {
        let examples = [("cases.toml".into(), self.cases.as_str()), ("roles.golden".into(), self.golden.as_str())];
        self.deciding().chain(examples)
    }

    /// SHA-256 over the files that decide: not over the examples and the grid, which only check.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix("sekisho policy files 1\n");
        for (name, text) in self.deciding() {
            hasher.update(format!("{name} {}\n", text.len()));
            hasher.update(text);
        }
        hasher.finalize().into()
    }

    /// The files that decide, as (name, text).
    pub fn deciding(&self) -> impl Iterator<Item = (String, &str)> {
        let fixed = [
            ("model.conf", &self.model),
            ("roles.toml", &self.roles),
            ("purposes.toml", &self.purposes),
            ("prohibited.toml", &self.prohibited),
        ];
        let rules = self.rules.iter().map(|(name, text)| (format!("rules/{name}.toml"), text.as_str()));
        fixed.into_iter().map(|(name, text)| (name.to_owned(), text.as_str())).chain(rules)
    }
}

fn read_if_there(dir: &Path, name: &str) -> Result<Option<String>, PolicyFault> {
    let path = dir.join(name);
    let size = match fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PolicyFault::Unreadable { file: name.into(), source }),
    };
    if size > BYTES_MAX {
        return Err(PolicyFault::wrong(name, 1, "longer than 1 MiB"));
    }
    fs::read_to_string(&path).map(Some).map_err(|source| PolicyFault::Unreadable { file: name.into(), source })
}

fn rule_names(dir: &Path) -> Result<Vec<String>, PolicyFault> {
    let fault = |source| PolicyFault::Unreadable { file: "rules".into(), source };
    let entries = match fs::read_dir(dir.join("rules")) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(fault(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(fault)?.file_name();
        names.extend(name.to_str().and_then(|n| n.strip_suffix(".toml")).map(String::from));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_folder_takes_the_place_of_the_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(PolicyFiles::read(dir.path()).unwrap(), PolicyFiles::embedded());
        fs::write(dir.path().join("purposes.toml"), "# own").unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        fs::write(dir.path().join("rules/own.toml"), "# own rule").unwrap();
        let files = PolicyFiles::read(dir.path()).unwrap();
        assert_eq!(files.purposes, "# own");
        assert_eq!(files.rules.get("own").map(String::as_str), Some("# own rule"));
        assert_eq!(files.roles, PolicyFiles::embedded().roles);
        assert_ne!(files.hash(), PolicyFiles::embedded().hash());
    }

    #[test]
    fn the_hash_covers_what_decides_and_nothing_else() {
        let ours = PolicyFiles::embedded();
        for changed in [
            PolicyFiles { model: "x".into(), ..ours.clone() },
            PolicyFiles { roles: "x".into(), ..ours.clone() },
            PolicyFiles { purposes: "x".into(), ..ours.clone() },
            PolicyFiles { prohibited: "x".into(), ..ours.clone() },
            PolicyFiles { rules: BTreeMap::new(), ..ours.clone() },
        ] {
            assert_ne!(changed.hash(), ours.hash());
        }
        assert_eq!(PolicyFiles { cases: "x".into(), golden: "x".into(), ..ours.clone() }.hash(), ours.hash());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("roles.toml"), [0xff, 0xfe]).unwrap();
        assert_eq!(PolicyFiles::read(dir.path()).unwrap_err().to_string(), "roles.toml: cannot be read");
        fs::write(dir.path().join("roles.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(PolicyFiles::read(dir.path()).unwrap_err().to_string().contains("longer than 1 MiB"));
    }

    #[test]
    fn what_init_writes_out_is_what_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        let ours = PolicyFiles::embedded();
        for (name, text) in ours.all() {
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(PolicyFiles::read(dir.path()).unwrap(), ours);
    }
}
