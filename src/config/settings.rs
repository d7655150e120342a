//! Which settings are there, and who is trusted with them?
//!
//! The list that `sekisho serve --help` prints. A test holds it against what the file accepts, against the README and
//! against the file that `init` writes.

/// Whether a setting is part of the guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// Whoever can change it can break the guarantee.
    Yes,
    /// It may hold anything: it changes form, price or speed, never the guarantee.
    No,
}

/// One setting of `sekisho.toml`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In which table, such as `[log]`.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Who is trusted with it.
    pub trusted: Trusted,
    /// What it is, in a few words.
    pub says: &'static str,
}

const fn of(table: &'static str, name: &'static str, trusted: Trusted, says: &'static str) -> Setting {
    Setting { table, name, trusted, says }
}

use Trusted::{No, Yes};

/// All settings of `sekisho.toml`.
pub const SETTINGS: &[Setting] = &[
    of("[enclave]", "name", Yes, "the log is called sekisho/NAME; fixed at init"),
    of("[listen]", "flight", No, "where the Flight SQL server listens"),
    of("[listen]", "web", No, "for the pages of a later version"),
    of("[listen]", "client_ca", Yes, "further CAs whose client certificates pass the handshake"),
    of("[keys]", "master", Yes, "where the master key comes from"),
    of("[population.P]", "population_max", Yes, "the most persons there will ever be"),
    of("[population.P]", "cap", Yes, "the most that all answers may reveal of one person"),
    of("[dataset.S]", "population", Yes, "whose persons"),
    of("[dataset.S]", "model", Yes, "which catalogue says what its tables are"),
    of("[dataset.S]", "cap", Yes, "the same as of its population, at most that"),
    of("[dataset.S]", "vocabularies", Yes, "public schemas beside it"),
    of("[oidc]", "issuer", Yes, "whose tokens are believed"),
    of("[oidc]", "audience", Yes, "for whom they must be"),
    of("[oidc]", "ca", Yes, "whom to trust for the issuer's address"),
    of("[oidc]", "account_claim", Yes, "which claim names the account"),
    of("[oidc]", "roles_claim", Yes, "which claim lists groups"),
    of("[oidc]", "roles", Yes, "what each group means"),
    of("[oidc]", "second_factor", Yes, "what must have been shown besides a password"),
    of("[log]", "checkpoint_seconds", No, "how often a checkpoint is published"),
    of("[log]", "outside", Yes, "where the newest totals are also written"),
    of("[log]", "interval_share", Yes, "the most of a cap between two checkpoints"),
    of("[[log.witness]]", "url", Yes, "who cosigns checkpoints"),
    of("[[log.witness]]", "key", Yes, "that witness's public key"),
    of("[engine]", "threads", No, "ranges of persons run at once"),
    of("[engine]", "memory_bytes", No, "for hash tables and sorts"),
    of("[engine]", "work_rows_max", No, "rows of one person in a step"),
    of("[engine]", "cells_max", No, "cells of a release"),
    of("[engine]", "waiting_max", No, "questions in waiting"),
    of("[metrics]", "listen", No, "where figures are scraped; nowhere unless given"),
    of("[metrics]", "show", Yes, "public, or all: figures that follow how long work took"),
    of("[traces]", "otlp", Yes, "the collector that learns when calls came and left; none unless given"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{GOOD, read};
    use super::*;

    const OIDC: &str = "[oidc]\nissuer = \"https://i\"\naudience = \"a\"\nroles_claim = \"g\"\nroles = {}\n";

    /// What the file accepts in each table, in the words in which it refuses anything else.
    fn accepted() -> BTreeSet<(&'static str, String)> {
        let stray = "no_such_setting = 1\n";
        let texts = [
            ("[enclave]", GOOD.replacen("[enclave]\n", &format!("[enclave]\n{stray}"), 1)),
            ("[listen]", GOOD.replacen("[listen]\n", &format!("[listen]\n{stray}"), 1)),
            ("[keys]", GOOD.replacen("[keys]\n", &format!("[keys]\n{stray}"), 1)),
            ("[population.P]", GOOD.replacen("[population.jp]\n", &format!("[population.jp]\n{stray}"), 1)),
            ("[dataset.S]", GOOD.replacen("[dataset.demo]\n", &format!("[dataset.demo]\n{stray}"), 1)),
            ("[engine]", format!("{GOOD}{stray}")),
            ("[oidc]", format!("{GOOD}{OIDC}{stray}")),
            ("[log]", format!("{GOOD}[log]\n{stray}")),
            ("[[log.witness]]", format!("{GOOD}[[log.witness]]\n{stray}")),
            ("[metrics]", format!("{GOOD}[metrics]\n{stray}")),
            ("[traces]", format!("{GOOD}[traces]\n{stray}")),
        ];
        let mut all = BTreeSet::new();
        for (table, text) in texts {
            let fault = read(&text).unwrap_err();
            assert!(fault.contains("unknown field `no_such_setting`, expected "), "{table}: {fault}");
            let (_, expected) = fault.split_once("expected ").unwrap();
            all.extend(expected.split('`').skip(1).step_by(2).map(|name| (table, name.to_owned())));
        }
        all
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_table_and_every_known_one_is_in_the_list() {
        let listed = SETTINGS.iter().map(|setting| (setting.table, setting.name.to_owned()));
        // A list of witnesses is a table of its own.
        let accepted: BTreeSet<_> = accepted().into_iter().filter(|(_, name)| name != "witness").collect();
        assert_eq!(accepted, listed.collect());
        let fault = read(&format!("{GOOD}[no_such_table]\n")).unwrap_err();
        let (_, tables) = fault.split_once("unknown field `no_such_table`, expected one of ").unwrap();
        let roots = |table: &str| table.trim_matches(['[', ']']).split('.').next().unwrap().to_owned();
        let known: BTreeSet<_> = SETTINGS.iter().map(|setting| roots(setting.table)).collect();
        assert_eq!(tables.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn the_readme_says_of_each_setting_whether_it_is_trusted() {
        let readme = include_str!("../../README.md");
        for setting in SETTINGS.iter().filter(|setting| setting.name != "web") {
            let row = readme.lines().find(|line| {
                let mut cells = line.split('|').skip(1);
                let names = cells.next().unwrap_or_default();
                let names = names.trim().trim_matches('`').strip_prefix(setting.table);
                names.is_some_and(|names| names.split([',', ' ']).any(|name| name == setting.name))
            });
            let row = row.unwrap_or_else(|| panic!("{} {} is not in the README", setting.table, setting.name));
            let said = row.split('|').nth(2).unwrap().trim();
            assert_eq!(said == "yes", setting.trusted == Yes, "{row}");
        }
    }
}
