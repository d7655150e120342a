//! Does how long something takes tell who is in the data?
//!
//! Latencies of the same questions, asked in turns of two enclaves that differ in one person with sixteen thousand rows,
//! compared as two samples (Welch's t, as in dudect; Reparaz, Balasch and Verbauwhede 2017). Whether the channel is
//! closed at all the answer's metadata says, and that decides what is expected.

use std::time::{Duration, Instant};

use super::{
    Field, Finding, Verdict,
    arena::Arena,
    asker::{Answer, Asker},
    measure::{best_cut, correlation, welch},
    people::{CELLS, TARGET},
};
use crate::cli::Stop;

/// As in dudect: beyond this two samples are not from one distribution.
const APART: f64 = 4.5;
const OPEN: &str = "the answers say themselves that their time channel is open";
const UNSAID: &str = "this version has no deadlines: run time is open, as the documentation says";

/// Work that only the giant has much of.
fn heavy(n: usize) -> String {
    format!(
        "SELECT COUNT(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id \
         WHERE a.measurement_concept_id > {n} AND b.measurement_concept_id > {n}"
    )
}

/// What the metadata of an answer says of the time channel.
fn said(answer: &Answer) -> Option<bool> {
    answer.says("time_channel").map(|said| said == "closed")
}

/// The finding of two samples of milliseconds.
fn judged(tried: &str, with: &[f64], without: &[f64], closed: Option<bool>) -> Finding {
    let (t, cut) = (welch(with, without), best_cut(with, without));
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
    let note = format!("{:.1} ms with the person, {:.1} ms without, t = {t:.1}", mean(with), mean(without));
    let found = Finding {
        row: 0,
        tried: tried.into(),
        times: (with.len() + without.len()) as u64,
        advantage: Some(cut),
        interval: None,
        bound: closed.filter(|closed| *closed).map(|_| 0.0),
        spent: None,
        verdict: Verdict::Held,
        note,
    };
    match closed {
        Some(true) if t.abs() > APART => {
            found.but(Verdict::Broken, "the two are told apart, and the channel is said to be closed")
        }
        Some(true) => found,
        Some(false) => found.but(Verdict::Open, OPEN),
        None => found.but(Verdict::Open, UNSAID),
    }
}

async fn milliseconds<T>(work: impl Future<Output = T>) -> (T, f64) {
    let begun = Instant::now();
    let done = work.await;
    (done, begun.elapsed().as_secs_f64() * 1e3)
}

/// A deadline may be seconds: then there is time for fewer, and each says more.
fn rounds(field: &Field, closed: Option<bool>) -> usize {
    if closed == Some(true) { field.times(8, 60) } else { field.times(16, 100) }
}

/// How long whoever asks has to wait.
pub(super) async fn asker(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both_in_service().await?;
    // One each to warm up, which also says what is to be expected.
    let mut closed = None;
    for asker in &both {
        closed = said(&asker.ask_for(0.05, &heavy(0)).await?);
    }
    let mut samples = [vec![], vec![]];
    for n in 0..rounds(field, closed) {
        // In turns, beginning with either: what drifts drifts for both.
        let first = usize::from(field.chance.coin());
        for side in [first, 1 - first] {
            let (Some(asker), Some(sample)) = (both.get(side), samples.get_mut(side)) else { continue };
            let (answer, took) = milliseconds(asker.ask_for(0.05, &heavy(1 + n))).await;
            answer?;
            sample.push(took);
        }
    }
    let [with, without] = samples;
    Ok(judged("the asker's waiting time, with and without 16,384 rows of one person", &with, &without, closed))
}

/// How long somebody else waits for something free meanwhile.
pub(super) async fn bystander(field: &mut Field) -> Result<Finding, Stop> {
    let both = field.both_in_service().await?;
    let mut closed = None;
    for asker in &both {
        closed = said(&asker.ask_for(0.05, &heavy(50_000)).await?);
    }
    let [with, without] = field.in_service()?;
    let watchers = [watcher(with)?, watcher(without)?];
    let mut samples = [vec![], vec![]];
    for n in 0..rounds(field, closed) {
        let first = usize::from(field.chance.coin());
        for side in [first, 1 - first] {
            let (Some(asker), Some(watcher)) = (both.get(side), watchers.get(side)) else { continue };
            let (asker, sql) = (asker.clone(), heavy(60_000 + n));
            let running = tokio::spawn(async move { asker.ask_for(0.05, &sql).await.map(drop) });
            let mut waits = vec![];
            while waits.len() < 4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let (seen, took) = milliseconds(watcher.ask("SELECT COUNT(*) AS n FROM sekisho.columns")).await;
                seen?;
                waits.push(took);
            }
            running.await.map_err(|_| Stop::Fault("a question was lost".into()))??;
            if let Some(sample) = samples.get_mut(side) {
                sample.push(waits.iter().sum::<f64>() / waits.len() as f64);
            }
        }
    }
    let [with, without] = samples;
    Ok(judged("a bystander's waiting time while somebody asks, with and without one person", &with, &without, closed))
}

fn watcher(arena: &Arena) -> Result<Asker, Stop> {
    Asker::new(arena.client("trudy")?, "")
}

/// Whether waiting longer goes with more noise: what a sampler that draws until it is content would show.
pub(super) async fn sampler(field: &mut Field) -> Result<Finding, Stop> {
    let [_, asker] = field.both_in_service().await?;
    let targets = field.secrets.targets.iter().filter(|t| **t).count();
    let households = field.secrets.households.iter().filter(|h| **h).count();
    let exact = (CELLS * TARGET + targets + 2 * households) as f64;
    let (mut pairs, mut closed) = (vec![], None);
    for n in 0..field.times(20, 200) {
        // True of everybody: only the noise is new.
        let sql = format!("SELECT COUNT(*) AS n FROM person WHERE year_of_birth > {}", 1_000 + n);
        let (answer, took) = milliseconds(asker.ask_for(0.05, &sql)).await;
        let answer = answer?;
        closed = said(&answer);
        let shown = answer.numbers("n").first().copied().flatten().unwrap_or(f64::NAN);
        pairs.push((took, (shown - exact).abs()));
        if closed == Some(true) && pairs.len() >= field.times(8, 60) {
            break;
        }
    }
    let (r, sigmas) = correlation(&pairs);
    let mut found = Finding::nothing(
        Verdict::Held,
        format!("correlation of waiting and noise {r:.2}, {sigmas:.1} standard errors"),
    );
    (found.tried, found.times, found.advantage) =
        ("waiting time against the size of the noise".into(), pairs.len() as u64, Some(r.abs()));
    let apart = sigmas.abs() > APART;
    Ok(match closed {
        _ if apart => found.but(Verdict::Broken, "waiting tells how much noise was drawn"),
        Some(true) => found,
        Some(false) => found.but(Verdict::Open, OPEN),
        None => found.but(Verdict::Open, UNSAID),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_said_to_be_closed_and_is_not_is_found() {
        let sample = |base: f64| -> Vec<f64> { (0..20).map(|n| base + f64::from(n % 5)).collect() };
        let (slow, fast) = (sample(60.0), sample(20.0));
        assert_eq!(judged("", &slow, &fast, Some(true)).verdict, Verdict::Broken);
        assert_eq!(judged("", &slow, &fast, Some(false)).verdict, Verdict::Open);
        assert_eq!(judged("", &slow, &fast, None).verdict, Verdict::Open);
        assert_eq!(judged("", &fast, &fast, Some(true)).verdict, Verdict::Held);
    }
}
