//! How do noised integers become the columns that were asked for?

use std::{collections::HashMap, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch},
    compute::cast,
    datatypes::{Field, Schema},
};

use super::{
    noise::{NoiseFault, Noised},
    placeholder,
    price::{Mechanism, Target},
    release_point::{Kind, Output, Partial, Release},
};

/// The batch of one release: its outputs, then one half-width per output; NULL where an output is exact (a key).
///
/// Field metadata of noisy columns: `sekisho.mechanism`, `sekisho.scale`, `sekisho.half_width_95` (for a mean: of its
/// parts; the row's own half-width stands in the hidden column).
pub(super) fn batch(release: &Release, noised: Noised, mechanisms: &[&Mechanism]) -> Result<RecordBatch, NoiseFault> {
    let rows = noised.sums.first().map(Vec::len).or(noised.keys.first().map(|k| k.len())).unwrap_or(0);
    let (mut columns, mut widths, mut fields) = (vec![], vec![], vec![]);
    for (index, output) in release.outputs.iter().enumerate() {
        let data_type = release.schema.field(index).data_type();
        let column = Column { release, noised: &noised, mechanisms, rows };
        let (values, width, parts) = column.of(output)?;
        columns.push(cast(&values, data_type).map_err(|_| NoiseFault::Shape)?);
        widths.push(Arc::new(Float64Array::from(width)) as ArrayRef);
        let field = Field::new(placeholder::column_name(index), data_type.clone(), true);
        fields.push(field.with_metadata(metadata(&parts)));
    }
    for index in 0..widths.len() {
        let name = placeholder::column_name(release.outputs.len() + index);
        fields.push(Field::new(name, datafusion::arrow::datatypes::DataType::Float64, true));
    }
    columns.extend(widths);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|_| NoiseFault::Shape)
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
                    Kind::Sum { grid, centre: 0, .. } if (grid.step - 1.0).abs() > 0.0 => {
                        Arc::new(Float64Array::from_iter_values(sums.iter().map(|v| to_f64(*v) * grid.step)))
                    }
                    _ => Arc::new(Int64Array::from(sums.to_vec())),
                };
                Ok((values, width, vec![mechanism]))
            }
            Output::Mean { sum, rows } => self.mean(*sum, *rows),
        }
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
            means.push(Some(mean * grid.step));
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

#[expect(clippy::cast_precision_loss, reason = "after noise; the error is far below the grid's own")]
fn to_f64(value: i64) -> f64 {
    value as f64
}
