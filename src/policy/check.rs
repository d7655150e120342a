//! Does the whole policy hold together?

use std::{collections::BTreeMap, collections::BTreeSet, path::Path};

use super::{cases::Cases, example::Example, fault::PolicyFault, files::PolicyFiles, judge::Policy, matrix};
use crate::terms::Role;

/// What a check found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many examples came out as written.
    pub cases: usize,
    /// At how many points the enforcer and the plain evaluator agreed.
    pub points: usize,
    /// How many purposes can be granted.
    pub purposes: usize,
    /// How many uses are prohibited.
    pub prohibited: usize,
    /// The rule packs.
    pub rule_packs: Vec<String>,
    /// The grid, as `roles.golden` has it.
    pub grid: String,
    /// SHA-256 over the files that decide.
    pub files_hash: [u8; 32],
}

/// Reads the policy built in, with the files of `dir` in their place, and checks all of it: every file parses, every
/// example comes out as written, the plain evaluator agrees everywhere, and the grid is the one on file.
///
/// # Errors
/// The first [`PolicyFault`] found, with its file and line.
pub fn check(dir: Option<&Path>) -> Result<Report, PolicyFault> {
    let files = dir.map_or_else(|| Ok(PolicyFiles::embedded()), PolicyFiles::read)?;
    let report = report(&files)?;
    same_grid(&files.golden, &report.grid)?;
    Ok(report)
}

impl Policy {
    /// The grid of a policy folder, to be written to its `roles.golden` by whoever has read the difference.
    ///
    /// # Errors
    /// The first [`PolicyFault`] found, except that the grid is not compared.
    pub fn grid(dir: Option<&Path>) -> Result<String, PolicyFault> {
        let files = dir.map_or_else(|| Ok(PolicyFiles::embedded()), PolicyFiles::read)?;
        Ok(report(&files)?.grid)
    }
}

fn report(files: &PolicyFiles) -> Result<Report, PolicyFault> {
    let cases = Cases::read(&files.cases)?;
    let policy = policy_of(files, &cases.example)?;
    let sets: Vec<_> = [BTreeSet::new(), BTreeSet::from(Role::ALL)]
        .into_iter()
        .chain(Role::ALL.map(|r| BTreeSet::from([r])))
        .collect();
    Ok(Report {
        cases: cases.run(&policy)?,
        points: matrix::compare(&policy, &cases.example, &sets)?,
        purposes: policy.purposes().filter(|p| p.public_benefit).count(),
        prohibited: policy.prohibited().count(),
        rule_packs: policy.packs.keys().cloned().collect(),
        grid: matrix::grid(&policy, &cases.example)?,
        files_hash: files.hash(),
    })
}

/// The policy of `files` in the surroundings of the example.
pub(super) fn policy_of(files: &PolicyFiles, example: &Example) -> Result<Policy, PolicyFault> {
    Policy::read(files, BTreeMap::from([(example.dataset.clone(), example.vocabularies.clone())]))
}

fn same_grid(kept: &str, found: &str) -> Result<(), PolicyFault> {
    if kept == found {
        return Ok(());
    }
    let (mut kept, mut found) = (kept.lines(), found.lines());
    for line in 1.. {
        match (kept.next(), found.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let [kept, found] = [a, b].map(|l| l.unwrap_or_default().to_owned());
                return Err(PolicyFault::Grid { line, kept, found });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// To write the grid anew after a wanted change: `SEKISHO_WRITE_GRID=1 cargo test the_grid_on_file`.
    #[test]
    fn the_grid_on_file_is_the_grid_of_the_policy() {
        let grid = Policy::grid(None).unwrap();
        if std::env::var_os("SEKISHO_WRITE_GRID").is_some() {
            return fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/roles.golden"), &grid).unwrap();
        }
        same_grid(&PolicyFiles::embedded().golden, &grid).unwrap();
    }

    #[test]
    fn our_own_policy_holds_together() {
        let report = check(None).unwrap();
        assert!(report.cases >= 30 && report.points > 4_000, "{report:?}");
        assert_eq!((report.purposes, report.prohibited), (11, 6));
        assert_eq!(report.rule_packs.len(), 4);
    }

    #[test]
    fn a_role_widened_in_the_folder_is_seen_in_the_grid() {
        let dir = tempfile::tempdir().unwrap();
        let wider = PolicyFiles::embedded().roles.replace("\"cap-declare\"", "\"cap-declare\", \"permit-grant\"");
        fs::write(dir.path().join("roles.toml"), wider).unwrap();
        let fault = check(Some(dir.path())).unwrap_err().to_string();
        assert!(fault.starts_with("roles.golden:"), "{fault}");
        fs::write(dir.path().join("roles.golden"), Policy::grid(Some(dir.path())).unwrap()).unwrap();
        assert!(check(Some(dir.path())).is_ok());
    }

    #[test]
    fn a_grid_cut_short_or_continued_differs_at_its_end() {
        assert!(same_grid("a\nb\n", "a\nb\n").is_ok());
        for (kept, found, line) in [("a\nb\n", "a\n", 2), ("a\n", "a\nb\n", 2), ("a\n", "b\n", 1), ("a", "a\n", 2)] {
            let Err(PolicyFault::Grid { line: at, .. }) = same_grid(kept, found) else { panic!("{kept:?}") };
            assert_eq!(at, line);
        }
    }
}
