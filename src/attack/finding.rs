//! What came of an attack?

use std::fmt;

use serde_json::{Value, json};

use super::measure::{Games, Spent};

/// Whether the promise stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody learnt more than what was spent allows.
    Held,
    /// This version says itself that it does not protect here.
    Open,
    /// What is attacked does not exist in this version.
    NotApplicable,
    /// The attack could not be carried out: nothing is known.
    NotRun,
    /// More was learnt, or something differs that must not.
    Broken,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Open => "open",
            Self::NotApplicable => "not applicable",
            Self::NotRun => "not run",
            Self::Broken => "BROKEN",
        })
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The number of the attack.
    pub row: u8,
    /// What was tried.
    pub tried: String,
    /// How often: games, questions or exchanges.
    pub times: u64,
    /// The attacker's advantage over guessing; none where nothing was measured.
    pub advantage: Option<f64>,
    /// Where it lies by the measure of [`super::measure::SIGMAS`]; none for what involves no chance.
    pub interval: Option<(f64, f64)>,
    /// The most that the spent (ε, δ) allows.
    pub bound: Option<f64>,
    /// What was spent on the target.
    pub spent: Option<Spent>,
    /// Whether it stood.
    pub verdict: Verdict,
    /// Why, and what else is to be said.
    pub note: String,
}

impl Finding {
    /// Of games with a secret each.
    #[must_use]
    pub fn games(tried: impl Into<String>, games: Games, spent: Spent, note: impl Into<String>) -> Self {
        let bound = spent.bound();
        Self {
            row: 0,
            tried: tried.into(),
            times: games.played,
            advantage: Some(games.advantage()),
            interval: Some(games.interval()),
            bound: Some(bound),
            spent: Some(spent),
            verdict: if games.beat(bound) { Verdict::Broken } else { Verdict::Held },
            note: note.into(),
        }
    }

    /// Of what must be so each time: a single exception tells the attacker everything.
    #[must_use]
    pub fn checks(tried: impl Into<String>, checks: Checks) -> Self {
        let failed = checks.failed.len();
        Self {
            row: 0,
            tried: tried.into(),
            times: checks.done,
            advantage: Some(if failed > 0 { 1.0 } else { 0.0 }),
            interval: None,
            bound: Some(0.0),
            spent: None,
            // Nothing checked is nothing shown.
            verdict: if failed > 0 { Verdict::Broken } else { checks.nothing_or(Verdict::Held) },
            note: match failed {
                0 => checks.note,
                _ => {
                    format!("{failed} failed: {}", checks.failed.iter().take(4).cloned().collect::<Vec<_>>().join("; "))
                }
            },
        }
    }

    /// Of nothing, and why.
    #[must_use]
    pub fn nothing(verdict: Verdict, why: impl Into<String>) -> Self {
        Self {
            row: 0,
            tried: String::new(),
            times: 0,
            advantage: None,
            interval: None,
            bound: None,
            spent: None,
            verdict,
            note: why.into(),
        }
    }

    /// The same, and it also depends on checks.
    #[must_use]
    pub fn and(mut self, what: &str, checks: Checks) -> Self {
        let other = Self::checks(what, checks);
        self.verdict = self.verdict.max(other.verdict);
        self.note = [self.note, format!("{} {what}", other.times), other.note]
            .into_iter()
            .filter(|words| !words.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        self
    }

    /// The same, as `verdict` where it would have held.
    #[must_use]
    pub fn but(mut self, verdict: Verdict, why: &str) -> Self {
        self.verdict = self.verdict.max(verdict);
        self.note = if self.note.is_empty() { why.to_owned() } else { format!("{}; {why}", self.note) };
        self
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self, name: &str) -> Value {
        json!({
            "row": self.row,
            "attack": name,
            "tried": self.tried,
            "times": self.times,
            "advantage": self.advantage,
            "interval": self.interval.map(|(low, high)| [low, high]),
            "bound": self.bound,
            "epsilon": self.spent.map(|spent| spent.epsilon),
            "delta": self.spent.map(|spent| spent.delta),
            "verdict": self.verdict.to_string().to_lowercase(),
            "note": self.note,
        })
    }
}

/// Things that must be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// How many were looked at.
    pub done: u64,
    /// Which were not so.
    pub failed: Vec<String>,
    /// What is to be said of those that were.
    pub note: String,
}

impl Checks {
    /// One more: `what` names it where it is not `so`.
    pub fn that(&mut self, so: bool, what: impl FnOnce() -> String) {
        self.done += 1;
        if !so {
            self.failed.push(what());
        }
    }

    /// One more exchange with each of two enclaves; the first line in which they differ is named.
    pub fn same(&mut self, of: &str, with: &str, without: &str) {
        self.that(with == without, || {
            let mut lines = with.lines().zip(without.lines());
            let (a, b) = lines.find(|(a, b)| a != b).unwrap_or(("more lines", "fewer lines, or the other way round"));
            let short = |text: &str| text.chars().take(160).collect::<String>();
            format!("{} | with the person: {} | without: {}", short(of), short(a), short(b))
        });
    }

    fn nothing_or(&self, verdict: Verdict) -> Verdict {
        if self.done == 0 { Verdict::NotRun } else { verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_breaks_and_nothing_looked_at_is_no_proof() {
        let mut checks = Checks::default();
        assert_eq!(Finding::checks("", checks.clone()).verdict, Verdict::NotRun);
        checks.same("q", "a\nb", "a\nb");
        assert_eq!(Finding::checks("", checks.clone()).verdict, Verdict::Held);
        checks.same("q", "a\nb", "a\nc");
        let broken = Finding::checks("", checks.clone());
        assert_eq!((broken.verdict, broken.times), (Verdict::Broken, 2));
        assert!(broken.note.contains("with the person: b"), "{}", broken.note);
        let (games, spent) = (Games { right: 5, played: 10 }, Spent { epsilon: 1.0, delta: 0.0 });
        assert_eq!(Finding::games("", games, spent, "").and("exchanges", checks).verdict, Verdict::Broken);
        checks = Checks::default();
        checks.same("q", "a", "a\nb");
        assert_eq!(checks.failed.len(), 1, "a line more is a difference");
    }

    #[test]
    fn games_are_judged_by_what_was_spent_on_them() {
        let games = Games { right: 1_300, played: 1_572 };
        let at = |epsilon| Finding::games("", games, Spent { epsilon, delta: 1e-6 }, "").verdict;
        assert_eq!((at(1.0), at(3.0)), (Verdict::Broken, Verdict::Held), "the same guesses, dearer");
    }
}
