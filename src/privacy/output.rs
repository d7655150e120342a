//! How do noised integers become the columns that were asked for?

use std::{collections::HashMap, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch},
    compute::{cast, not, nullif},
    datatypes::{DataType, Field, Schema, TimeUnit},
};

use super::{
    grid::Grid,
    noise::{NoiseFault, Noised},
    partial::{Kind, Partial},
    placeholder,
    price::{Mechanism, Target},
    release_point::{Axis, Output, Release},
    standing,
    statistics::{Centres, Moments, Statistic},
};

/// The batch of one release: its outputs, then one half-width per output, NULL where an output is exact (a key); then, of
/// public groups, whether each stands out from noise.
///
/// Field metadata of noisy columns: `sekisho.mechanism`, `sekisho.scale`, `sekisho.half_width_95` (for a mean: of its
/// parts; the row's own half-width stands in the hidden column); of picked ones `sekisho.candidates_apart`, the widest
/// distance between what was picked and its neighbours, in the column's own unit (days and microseconds of times).
pub(super) fn batch(release: &Release, noised: Noised, mechanisms: &[&Mechanism]) -> Result<RecordBatch, NoiseFault> {
    let rows = noised.sums.first().map(Vec::len).or(noised.keys.first().map(|k| k.len())).unwrap_or(0);
    let (mut columns, mut widths, mut fields) = (vec![], vec![], vec![]);
    let standing = standing::stand_out(release, &noised, mechanisms).map(BooleanArray::from);
    for (index, output) in release.outputs.iter().enumerate() {
        let data_type = release.schema.field(index).data_type();
        let column = Column { release, noised: &noised, mechanisms, rows };
        let (mut values, width, parts) = column.of(output)?;
        // What is picked where nobody may be is any of the candidates.
        if let (Some(standing), true) = (&standing, matches!(output, Output::Quantile(_))) {
            values = nullif(&values, &not(standing).map_err(|_| NoiseFault::Shape)?).map_err(|_| NoiseFault::Shape)?;
        }
        columns.push(typed(&values, data_type)?);
        widths.push(Arc::new(Float64Array::from(width)) as ArrayRef);
        let field = Field::new(placeholder::column_name(index), data_type.clone(), true);
        let mut marks = metadata(&parts);
        marks.extend(column.apart(output).map(|apart| ("sekisho.candidates_apart".to_owned(), apart.to_string())));
        fields.push(field.with_metadata(marks));
    }
    for index in 0..widths.len() {
        let name = placeholder::column_name(release.outputs.len() + index);
        fields.push(Field::new(name, datafusion::arrow::datatypes::DataType::Float64, true));
    }
    columns.extend(widths);
    if let Some(standing) = standing {
        fields.push(Field::new(placeholder::column_name(fields.len()), DataType::Boolean, true));
        columns.push(Arc::new(standing));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|_| NoiseFault::Shape)
}

/// Numbers as the type of their column: days and microseconds too.
fn typed(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, NoiseFault> {
    let through = match (values.data_type(), data_type) {
        (DataType::Int64, DataType::Date32) => cast(values, &DataType::Int32),
        (DataType::Int64, DataType::Timestamp(..)) => cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => Ok(Arc::clone(values)),
    };
    through.and_then(|values| cast(&values, data_type)).map_err(|_| NoiseFault::Shape)
}

/// A value to two digits of its half-width: what stands behind them is noise.
fn to_the_noise(value: f64, width: f64) -> f64 {
    if !(width.is_normal() && width > 0.0) {
        return value;
    }
    let step = 10.0_f64.powf(width.log10().floor() - 1.0);
    let rounded = match step < 1.0 {
        // A product with a whole power of ten keeps 0.1 from becoming 0.1000000001.
        true => {
            let inverse = (1.0 / step).round();
            (value * inverse).round() / inverse
        }
        false => (value / step).round() * step,
    };
    if rounded.is_finite() { rounded } else { value }
}

fn metadata(parts: &[&Mechanism]) -> HashMap<String, String> {
    let joined = |f: fn(&Mechanism) -> String| parts.iter().map(|m| f(m)).collect::<Vec<_>>().join(" / ");
    if parts.is_empty() {
        return HashMap::new();
    }
    HashMap::from([
        ("sekisho.mechanism".to_owned(), joined(|m| m.family.as_str().to_owned())),
        ("sekisho.scale".to_owned(), joined(|m| (m.scale * m.unit).to_string())),
        ("sekisho.half_width_95".to_owned(), joined(|m| (m.half_width * m.unit).to_string())),
        ("sekisho.half_width_of".to_owned(), joined(|m| m.half_width_of().to_owned())),
    ])
}

struct Column<'a> {
    release: &'a Release,
    noised: &'a Noised,
    mechanisms: &'a [&'a Mechanism],
    rows: usize,
}

type Parts<'a> = (ArrayRef, Vec<Option<f64>>, Vec<&'a Mechanism>);

impl<'a> Column<'a> {
    fn of(&self, output: &Output) -> Result<Parts<'a>, NoiseFault> {
        match output {
            Output::Key(index) => {
                let key = self.noised.keys.get(*index).ok_or(NoiseFault::Shape)?;
                Ok((Arc::clone(key), vec![None; self.rows], vec![]))
            }
            Output::Count(index) | Output::Sum(index) => {
                let (sums, mechanism, partial) = self.vector(*index)?;
                let width = vec![Some(mechanism.half_width * mechanism.unit); self.rows];
                let values: ArrayRef = match &partial.kind {
                    Kind::Sum { grid, centre: 0, .. } if !grid.is_whole() => {
                        let half = mechanism.half_width * mechanism.unit;
                        let sum = |v: &i64| to_the_noise(to_f64(*v) * grid.step, half);
                        Arc::new(Float64Array::from_iter_values(sums.iter().map(sum)))
                    }
                    _ if self.unsigned(output) => {
                        Arc::new(Int64Array::from_iter_values(sums.iter().map(|v| (*v).max(0))))
                    }
                    _ => Arc::new(Int64Array::from(sums.to_vec())),
                };
                Ok((values, width, vec![mechanism]))
            }
            Output::Mean { sum, rows } => self.mean(*sum, *rows),
            Output::Moments { statistic, rows, x, y, product } => self.moments(*statistic, *rows, [*x, *y], *product),
            Output::Quantile(index) => {
                let (units, mechanism, partial) = self.vector(*index)?;
                let Kind::Histogram { candidates, .. } = &partial.kind else { return Err(NoiseFault::Shape) };
                // How far a rank is in the column's own unit depends on the rows: no interval is claimed.
                Ok((picked(units, candidates.grid()), vec![None; self.rows], vec![mechanism]))
            }
        }
    }

    /// How far apart the candidates are where they were picked.
    fn apart(&self, output: &Output) -> Option<f64> {
        let Output::Quantile(index) = output else { return None };
        let Kind::Histogram { candidates, .. } = &self.release.partials.get(*index)?.kind else { return None };
        let picked = self.noised.sums.get(*index)?;
        picked.iter().map(|unit| candidates.apart(*unit)).reduce(f64::max)
    }

    fn unsigned(&self, output: &Output) -> bool {
        let place = self.release.outputs.iter().position(|o| o == output);
        place.is_some_and(|i| self.release.schema.field(i).data_type().is_unsigned_integer())
    }

    fn moments(
        &self,
        statistic: Statistic,
        rows: usize,
        [of_x, of_y]: [Axis; 2],
        product: Option<usize>,
    ) -> Result<Parts<'a>, NoiseFault> {
        let (counts, of_rows, _) = self.vector(rows)?;
        let mut mechanisms = vec![of_rows];
        let mut widths = Moments { rows: of_rows.half_width, ..Moments::default() };
        let mut centres = Centres::default();
        let mut read = |part: Option<usize>, width: &mut f64, centre: &mut f64| -> Result<Vec<f64>, NoiseFault> {
            let Some(part) = part else { return Ok(vec![0.0; self.rows]) };
            let (sums, mechanism, partial) = self.vector(part)?;
            let Kind::Sum { grid, centre: units, .. } = &partial.kind else { return Err(NoiseFault::Shape) };
            mechanisms.push(mechanism);
            *width = mechanism.half_width * mechanism.unit;
            *centre = to_f64(*units) * grid.step;
            Ok(sums.iter().map(|sum| to_f64(*sum) * grid.step).collect())
        };
        let mut unused = 0.0;
        let x = read(of_x.sum, &mut widths.x, &mut centres.x)?;
        let y = read(of_y.sum, &mut widths.y, &mut centres.y)?;
        let xx = read(of_x.squares, &mut widths.xx, &mut unused)?;
        let yy = read(of_y.squares, &mut widths.yy, &mut unused)?;
        let xy = read(product, &mut widths.xy, &mut unused)?;
        let (mut values, mut halves) = (vec![], vec![]);
        for (row, count) in counts.iter().enumerate() {
            let at = |of: &[f64]| of.get(row).copied().unwrap_or(0.0);
            let m = Moments { rows: to_f64(*count), x: at(&x), y: at(&y), xx: at(&xx), yy: at(&yy), xy: at(&xy) };
            let half = statistic.half_width(&m, &widths, centres);
            values.push(statistic.of(&m, centres).map(|v| to_the_noise(v, half.unwrap_or(0.0))));
            halves.push(half);
        }
        Ok((Arc::new(Float64Array::from(values)), halves, mechanisms))
    }

    /// centre + Σ/n, clamped into the public bounds. The half-width is that of the quotient's two noisy parts, taken
    /// together in the worst direction (first-order): (w_Σ + |mean − centre|·w_n) / n.
    fn mean(&self, sum: usize, rows: usize) -> Result<Parts<'a>, NoiseFault> {
        let (sums, of_sum, partial) = self.vector(sum)?;
        let (counts, of_rows, _) = self.vector(rows)?;
        let Kind::Sum { grid, centre, .. } = &partial.kind else { return Err(NoiseFault::Shape) };
        let (lo, hi) = (to_f64(grid.lo), to_f64(grid.hi));
        let (mut means, mut widths) = (vec![], vec![]);
        for (sum, count) in sums.iter().zip(counts) {
            // A noised count below one says that the group is too small for a mean.
            if *count < 1 {
                means.push(None);
                widths.push(None);
                continue;
            }
            let (sum, count) = (to_f64(*sum), to_f64(*count));
            let mean = (to_f64(*centre) + sum / count).clamp(lo, hi);
            let width = (of_sum.half_width + (mean - to_f64(*centre)).abs() * of_rows.half_width) / count;
            means.push(Some(to_the_noise(mean * grid.step, width * grid.step)));
            widths.push(Some(width * grid.step));
        }
        Ok((Arc::new(Float64Array::from(means)), widths, vec![of_sum, of_rows]))
    }

    fn vector(&self, index: usize) -> Result<(&'a [i64], &'a Mechanism, &'a Partial), NoiseFault> {
        let sums = self.noised.sums.get(index).ok_or(NoiseFault::Shape)?;
        let partial = self.release.partials.get(index).ok_or(NoiseFault::Shape)?;
        let own = self.mechanisms.iter().find(|m| m.target == Target::Partial(index));
        let mechanism = own.or_else(|| self.mechanisms.iter().find(|m| m.target == Target::Selection));
        Ok((sums, mechanism.ok_or(NoiseFault::Shape)?, partial))
    }
}

/// Picked candidates in the column's own unit.
fn picked(units: &[i64], grid: &Grid) -> ArrayRef {
    match super::facts::whole(grid.step) {
        Some(step) => Arc::new(Int64Array::from_iter(units.iter().map(|u| u.checked_mul(step)))),
        None => Arc::new(Float64Array::from_iter_values(units.iter().map(|u| to_f64(*u) * grid.step))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "after noise; the error is far below the grid's own")]
fn to_f64(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_two_digits_of_their_half_width() {
        for (value, width, shown) in
            [(12.345_678, 0.37, 12.35), (1234.5, 47.0, 1235.0), (98_765.4, 3200.0, 98_800.0), (0.1, 0.0, 0.1)]
        {
            assert!((to_the_noise(value, width) - shown).abs() < 1e-12, "{value} at {width}");
        }
        assert!(to_the_noise(f64::MAX, 1.0).is_finite());
    }
}
