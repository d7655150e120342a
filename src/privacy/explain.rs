//! What will this cost, how accurate will it be, and why?

use super::{
    Analysis, Plan, Release,
    candidates::Candidates,
    facts::Origin,
    grid::Grid,
    partial::{Kind, Rank},
    price::{Mechanism, Target},
    release_point::Output,
    standing,
};

/// One line of EXPLAIN: one mechanism.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Which release, from 1.
    pub release: u64,
    /// The columns of the release that it serves.
    pub column: String,
    /// Mechanism and what it counts.
    pub mechanism: String,
    /// What one person can add, in words.
    pub bound: String,
    /// Who says so.
    pub origin: String,
    /// What it costs at the order at which the permit's cap will bind.
    pub loss_at_binding_order: f64,
    /// The ε of this mechanism alone, at the caps' δ.
    pub epsilon: f64,
    /// The 95 % half-width of one cell, in the column's own unit, or of its rank.
    pub half_width_95: f64,
    /// What that measures.
    pub half_width_of: &'static str,
    /// How many cells are released; none where groups are selected.
    pub cells: Option<u64>,
}

/// One line per mechanism of `plan`; nothing of it depends on data. `delta` is where ε is stated.
#[must_use]
pub fn explain(plan: &Plan, delta: f64) -> Vec<Explained> {
    let analysis = plan.analysis();
    let mechanisms = plan.priced().mechanisms.iter();
    mechanisms.filter_map(|m| line(plan, analysis.releases().get(m.release)?, m, delta)).collect()
}

fn line(plan: &Plan, release: &Release, mechanism: &Mechanism, delta: f64) -> Option<Explained> {
    let (what, origin) = match mechanism.target {
        Target::Selection => {
            let threshold = mechanism.threshold.unwrap_or(0);
            (format!("persons per group, groups above {threshold} shown"), "1 per person".to_owned())
        }
        Target::Partial(index) => match &release.partials.get(index)?.kind {
            Kind::Rows => ("rows".to_owned(), "rows per group".to_owned()),
            Kind::Person => ("persons".to_owned(), "1 per person".to_owned()),
            Kind::Sum { grid, origin, .. } => ("sum".to_owned(), bounds(grid, *origin)),
            Kind::Values { most, origin } => {
                ("different values".to_owned(), format!("{}: {most} values of one person", by(*origin)))
            }
            Kind::Histogram { candidates, rank, origin } => {
                let what = match rank {
                    Rank::Quantile { below, of } => format!("candidates by rank {below}/{of}"),
                    Rank::Least => "candidates by distance from the least, a protected end".to_owned(),
                    Rank::Greatest => "candidates by distance from the greatest, a protected end".to_owned(),
                };
                (what, spaced(candidates, *origin))
            }
        },
    };
    let least = match mechanism.target {
        Target::Partial(index) => standing::least_of(release, index, mechanism),
        Target::Selection => None,
    };
    let what = match least {
        Some(least) => format!("{what}, groups from {} stand out", (least * mechanism.unit).ceil()),
        None => what,
    };
    let per_group = super::facts::to_f64(i64::try_from(mechanism.bound).ok()?) * mechanism.unit;
    Some(Explained {
        release: u64::try_from(mechanism.release).ok()? + 1,
        column: columns(plan.analysis(), mechanism.release, mechanism.target),
        mechanism: format!("{} over {what}", mechanism.family.as_str()),
        bound: format!(
            "{per_group} per group, {} groups per person, {} rows per group",
            mechanism.groups, release.rows_per_group
        ),
        origin,
        loss_at_binding_order: mechanism.loss.at(plan.priced().order),
        epsilon: mechanism.loss.epsilon(delta),
        half_width_95: mechanism.half_width * mechanism.unit,
        half_width_of: mechanism.half_width_of(),
        cells: release.cells(),
    })
}

fn by(origin: Origin) -> &'static str {
    match origin {
        Origin::Catalogue => "catalogue",
        Origin::Question => "question",
    }
}

fn bounds(grid: &Grid, origin: Origin) -> String {
    let (lo, hi) = (units(grid.lo, grid.step), units(grid.hi, grid.step));
    format!("{}: {lo} to {hi} in steps of {}", by(origin), grid.step)
}

/// Candidates with the distances between them, from the least to the widest.
fn spaced(candidates: &Candidates, origin: Origin) -> String {
    let (grid, widest) = (candidates.grid(), candidates.widest());
    let (lo, hi) = (units(grid.lo, grid.step), units(grid.hi, grid.step));
    let apart = match widest > grid.step {
        true => format!("{} to {widest}", grid.step),
        false => grid.step.to_string(),
    };
    format!("{}: {} candidates from {lo} to {hi}, {apart} apart", by(origin), candidates.count())
}

fn units(value: i64, step: f64) -> f64 {
    super::facts::to_f64(value) * step
}

/// The columns of the answer that a mechanism serves, by the caller's names where they are passed on unchanged.
fn columns(analysis: &Analysis, index: usize, target: Target) -> String {
    let Some(release) = analysis.releases().get(index) else { return String::new() };
    let uses = |output: &Output| match (target, output) {
        (Target::Selection, Output::Key(_)) => true,
        (Target::Partial(p), output) => output.partials().contains(&p),
        _ => false,
    };
    let named = |output: usize| {
        let same = |p: &Option<super::Passed>| p.as_ref().is_some_and(|p| p.release == index && p.output == output);
        let at = analysis.passed().iter().position(same)?;
        analysis.finish().schema().fields().get(at).map(|field| field.name().clone())
    };
    let names = release.outputs.iter().zip(release.schema.fields()).enumerate().filter(|(_, (o, _))| uses(o));
    names.map(|(at, (_, field))| named(at).unwrap_or_else(|| field.name().clone())).collect::<Vec<_>>().join(", ")
}
