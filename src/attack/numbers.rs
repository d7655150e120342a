//! Do the digits of an answer say more than its value?

use super::{
    Field, Finding,
    asker::Answer,
    field::{by_cell, compare},
    finding::Checks,
    guess::by_learning,
    measure::{SIGMAS, correlation},
    people::CELLS,
};
use crate::cli::{Stop, client::ClientFault};

const FROM: &str = "person p JOIN measurement t ON t.person_id = p.person_id";

fn sum(of: &str) -> String {
    by_cell(&format!("SUM(least(greatest({of}, 0), 100)) AS n"), FROM, "")
}

/// The step that a noised sum is shown in: two digits of its public half-width.
fn step(answer: &Answer) -> Option<f64> {
    answer.half_width("n").map(|width| 10.0_f64.powf(width.log10().floor() - 1.0))
}

/// Whether `value` is a multiple of `step`, as far as a double can say.
fn on(step: f64, value: f64) -> bool {
    let steps = value / step;
    (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0)
}

/// Which doubles can come out at all must not depend on the data: that was how Mironov read Laplace noise in 2012.
pub(super) async fn least_bits(field: &mut Field) -> Result<Finding, Stop> {
    let eve = field.eve().await?;
    let mut checks = Checks::default();
    let mut seen: Vec<Vec<f64>> = vec![vec![]; CELLS];
    let sqls = [sum("t.value_as_number"), sum("t.value_as_number / 3"), sum("t.value_as_number * 0.1")];
    for sql in &sqls {
        let answer = eve.ask_for(1.0 / sqls.len() as f64, sql).await?;
        let step = step(&answer).ok_or_else(|| Stop::Fault("a sum states no half-width".into()))?;
        for (numbers, shown) in seen.iter_mut().zip(answer.by_cell("n")) {
            let shown = shown.unwrap_or(f64::NAN);
            checks.that(on(step, shown), || format!("{shown} is no multiple of {step}"));
            // Low bits of the double, and digits below the step.
            numbers.extend([
                (shown.to_bits() & 0xff) as f64,
                (shown / step).fract(),
                (shown * 1_048_576.0).fract(),
                shown,
            ]);
        }
    }
    let games = by_learning(&seen, &field.secrets.targets);
    let found = Finding::games("low bits and digits of noised sums", games, eve.spent().await?, "");
    Ok(found.and("values, all multiples of a public step", checks))
}

/// The grid on which noise is drawn, from public facts alone, however fine one person's values are.
pub(super) async fn precision(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for of in ["t.value_as_number", "t.value_as_number * 1e-9", "sqrt(abs(t.value_as_number))", "t.value_as_number / 7"]
    {
        let [with, without] = compare(&mut checks, &both, &sum(of), false).await;
        let (Some(with), Some(without)) = (with, without) else {
            checks.that(false, || format!("{of} was refused"));
            continue;
        };
        for answer in [&with, &without] {
            let step = step(answer).unwrap_or(f64::NAN);
            let off = answer.by_cell("n").into_iter().flatten().find(|shown| !on(step, *shown));
            checks.that(off.is_none(), || format!("{off:?} is no multiple of {step}"));
        }
    }
    let count = by_cell("COUNT(*) AS n", FROM, "");
    for answer in compare(&mut checks, &both, &count, false).await.into_iter().flatten() {
        let whole = answer.by_cell("n").into_iter().flatten().all(|v| v.fract() == 0.0);
        checks.that(whole, || "a count is no whole number".into());
    }
    Ok(Finding::checks("grids of sums with and without a person of extremes", checks))
}

/// Scales, half-widths and mechanisms: the same whoever is in the data.
pub(super) async fn scales(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for sql in [
        "SELECT COUNT(*) AS n FROM measurement",
        "SELECT SUM(least(greatest(value_as_number, 0), 1000)) AS n FROM measurement",
        "SELECT AVG(least(greatest(value_as_number, -1e6), 1e6)) AS n FROM measurement",
        "SELECT STDDEV(least(greatest(value_as_number, 0), 100)) AS n FROM measurement",
        "SELECT COUNT(DISTINCT value_as_number) AS n FROM measurement",
        "SELECT COUNT(DISTINCT person_id) AS n FROM measurement",
        "SELECT MEDIAN(least(greatest(value_as_number, 0), 100)) AS n FROM measurement",
        "SELECT MAX(least(greatest(value_as_number, 0), 100)) AS n FROM measurement",
        "SELECT gender_concept_id, AVG(year_of_birth) AS n FROM person GROUP BY gender_concept_id",
    ] {
        compare(&mut checks, &both, sql, false).await;
    }
    // Intervals around the values differ as the noise does; how wide they are does not.
    let wide = [both[0].with("intervals", "on")?, both[1].with("intervals", "on")?];
    let mut widths = vec![];
    for asker in &wide {
        let answer = asker.ask("SELECT COUNT(*) AS n FROM condition_occurrence").await?;
        let one = |name| answer.numbers(name).first().copied().flatten().unwrap_or(f64::NAN);
        widths.push(one("n_hi") - one("n_lo"));
    }
    checks
        .that(widths.windows(2).all(|w| matches!(w, [a, b] if (a - b).abs() < 1e-9)), || format!("widths {widths:?}"));
    Ok(Finding::checks("metadata of noised columns with and without a person of extremes", checks))
}

/// Noise that somebody could foresee, repeat or choose.
pub(super) async fn generator(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both().await?;
    let mut checks = Checks::default();
    for (name, value) in
        [("seed", "1"), ("noise", "off"), ("random_seed", "42"), ("mechanism", "none"), ("debug", "on")]
    {
        for sql in [format!("SET sekisho.{name} = '{value}'"), format!("SET {name} = '{value}'")] {
            let met = both[0].code(&sql).await?;
            checks.that(["unknown_setting", "not_a_question"].contains(&met.as_str()), || format!("{sql}: {met}"));
        }
        let by_header = both[0].with(name, value)?.ask("SELECT COUNT(*) AS n FROM death").await;
        let refused = matches!(by_header, Err(ClientFault::Refused { .. }));
        checks.that(refused, || format!("the header {name} was taken"));
    }
    // The same people in two enclaves, the same question: nothing in common but the truth.
    let sql = by_cell("COUNT(*) AS n", "person p", "");
    let truth = |cell: usize| if field.secrets.targets.get(cell).copied().unwrap_or(false) { 3.0 } else { 2.0 };
    let mut noises: Vec<Vec<f64>> = vec![];
    for asker in &both {
        let shown = asker.ask(&sql).await?.by_cell("n");
        noises.push(shown.iter().enumerate().map(|(cell, v)| v.unwrap_or(f64::NAN) - truth(cell)).collect());
    }
    let [one, other] = noises.as_slice() else { return Err(Stop::Fault("two answers were asked for".into())) };
    let mut pairs: Vec<(&str, Vec<(f64, f64)>)> =
        vec![("two enclaves", one.iter().copied().zip(other.iter().copied()).collect())];
    for (name, lag) in [("neighbouring cells", 1), ("every second cell", 2), ("a year apart", 12)] {
        pairs.push((name, one.iter().copied().zip(one.iter().copied().skip(lag)).collect()));
    }
    for (name, pairs) in &pairs {
        let (r, sigmas) = correlation(pairs);
        checks.that(sigmas.abs() < SIGMAS + 1.0, || format!("noise of {name} correlates by {r:.3}"));
    }
    Ok(Finding::checks("seeds by SET and header; noise of two enclaves and of neighbouring cells", checks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_not_rounded_to_the_public_step_is_seen() {
        assert!(on(0.1, 12.3) && on(0.1, -0.7) && on(10.0, 1e9) && on(0.001, 4.321));
        assert!(!on(0.1, 12.34) && !on(10.0, 1_234_567.0) && !on(0.1, 12.3 + 1e-6));
        // What a naive sampler gives: a logarithm with all its bits.
        assert!(!on(0.1, 40.0 - 3.0 * 0.37_f64.ln()) && !on(0.1, f64::NAN));
    }
}
