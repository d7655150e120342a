//! What will this cost, how accurate will it be, and why?

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch},
        datatypes::DataType,
    },
    common::cast::as_float64_array,
};

use super::{
    Analysis, Plan, Release,
    candidates::Candidates,
    cut,
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

/// The columns of a finished answer that are mostly noise, and would have less within narrower bounds: means that are no
/// more than twice their half-width, far inside bounds four times as wide; and where the catalogue alone gives the bounds,
/// sums that are less than their half-width, and means whose half-width is a tenth of them. It looks at what leaves, at
/// nothing else; intervals have to be asked for.
#[must_use]
pub fn loosely_bounded(analysis: &Analysis, answer: &[RecordBatch]) -> Vec<String> {
    let columns = analysis.passed().iter().enumerate();
    let loose = columns.filter_map(|(place, passed)| {
        let passed = passed.as_ref()?;
        let release = analysis.releases().get(passed.release)?;
        let (sum, mean) = match release.outputs.get(passed.output)? {
            Output::Mean { sum, .. } => (sum, true),
            Output::Sum(sum) => (sum, false),
            _ => return None,
        };
        let Kind::Sum { grid, origin, .. } = &release.partials.get(*sum)?.kind else { return None };
        let width = units(grid.hi.saturating_sub(grid.lo), grid.step);
        let declared = *origin == Origin::Catalogue;
        let loose = |value: f64, half: f64| match mean {
            true => (half > value.abs() / 2.0 && width > value.abs() * 4.0) || (declared && half > width / 10.0),
            false => declared && half > value.abs(),
        };
        let (mut wide, mut rows) = (0_usize, 0_usize);
        for batch in answer {
            let (value, high) = (floats(batch, place)?, floats(batch, place + 2)?);
            let (value, high) = (as_float64_array(&value).ok()?, as_float64_array(&high).ok()?);
            rows += batch.num_rows();
            let within = value.iter().zip(high.iter()).filter_map(|(value, high)| Some((value?, high? - value?)));
            wide += within.filter(|(value, half)| loose(*value, *half)).count();
        }
        let schema = answer.first()?.schema();
        let name = schema.fields().get(place)?.name();
        let with_interval = schema.fields().get(place + 2)?.name() == &format!("{name}_hi");
        (with_interval && wide * 2 > rows).then(|| name.clone())
    });
    loose.collect()
}

fn floats(batch: &RecordBatch, place: usize) -> Option<ArrayRef> {
    let column = batch.columns().get(place).filter(|column| column.data_type().is_numeric())?;
    datafusion::arrow::compute::cast(column, &DataType::Float64).ok()
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
    let left_out = match cut::stands_in(&release.input) {
        true => "; whoever has too many rows of a join is left out of it",
        false => "",
    };
    Some(Explained {
        release: u64::try_from(mechanism.release).ok()? + 1,
        column: columns(plan.analysis(), mechanism.release, mechanism.target),
        mechanism: format!("{} over {what}", mechanism.family.as_str()),
        bound: format!(
            "{per_group} per group, {} groups per person, {} rows per group{left_out}",
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

/// Bounds that only the catalogue gives are as wide as anything that may be stored: the question can give narrower ones.
fn bounds(grid: &Grid, origin: Origin) -> String {
    let (lo, hi) = (units(grid.lo, grid.step), units(grid.hi, grid.step));
    let narrower = match origin {
        Origin::Catalogue => "; less noise within narrower ones: least(greatest(x, lowest), highest), or WHERE",
        Origin::Question => "",
    };
    format!("{}: {lo} to {hi} in steps of {}{narrower}", by(origin), grid.step)
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
