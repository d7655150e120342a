//! With bounds wide open and noise off, does the answer equal that of plain SQL?

use std::{cell::RefCell, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions},
        compute::{cast, concat_batches},
        datatypes::{DataType, Field, Schema},
    },
    catalog::MemorySchemaProvider,
    common::{Column, ScalarValue, config::Dialect, tree_node::TreeNodeRecursion},
    datasource::MemTable,
    logical_expr::{Expr, LogicalPlan},
    prelude::{SessionConfig, SessionContext},
};
use sekisho::{
    engine::{Engine, finish},
    privacy::{Analysis, Asked, Bounds, Kind, Noisy, Output, Rank, Release, column_name},
    sql::Directory,
};

use super::{
    asides::plainly,
    database::{DATASET, Database, Manner, VOCABULARY},
    grammar::Question,
    run::{Case, Opened, SEED, all_cores, ask, cases, directory, engine, exact, runtime, say},
    statistics,
};

const QUESTIONS_PER_DATABASE: u64 = 25;

struct World {
    directory: Directory,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
    database: RefCell<Option<(u64, Database, SessionContext)>>,
}

impl World {
    fn new() -> Self {
        Self { directory: directory(), engine: engine(1, 8192), runtime: runtime(), database: RefCell::new(None) }
    }

    fn database(&self, number: u64) -> (Database, SessionContext) {
        let mut kept = self.database.borrow_mut();
        if kept.as_ref().is_none_or(|(known, ..)| *known != number) {
            let database = Database::random(SEED ^ (number << 33), Manner::Tame);
            let plain = plain(&database);
            *kept = Some((number, database, plain));
        }
        kept.as_ref().map(|(_, database, plain)| (database.clone(), plain.clone())).unwrap()
    }
}

/// A plain engine over the same rows.
fn plain(database: &Database) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    let catalog = context.catalog("datafusion").unwrap();
    for (schema, tables) in [(DATASET, &database.units), (VOCABULARY, &database.whole)] {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new())).unwrap();
        for (name, rows) in tables {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).unwrap();
            context.register_table(format!("{schema}.{name}"), Arc::new(table)).unwrap();
        }
    }
    context
}

#[test]
fn with_open_bounds_and_no_noise_the_answer_is_that_of_plain_sql() {
    let tally = all_cores(cases(3_000), World::new, one_question);
    tally.report("same-meaning oracle", "answers compared");
    tally.assert_clean();
    assert!(tally.cases < 300 || tally.answered_percent() >= 60, "too few questions are answered");
}

fn one_question(world: &World, number: u64) -> Case {
    let question = Question::random(SEED.wrapping_add(1 + number.wrapping_mul(0x85eb_ca6b)), false);
    let bounds = Bounds { work_rows_max: 1 << 22, cells_max: 100_000, population_max: 64 };
    let mut case = Case { labels: question.labels.clone(), ..Case::default() };
    let both = ask(&world.directory, &question.core, &question.asked, &bounds)
        .and_then(|core| Ok((core, ask(&world.directory, &question.sql, &question.asked, &bounds)?)));
    let (core, full) = match both {
        Ok(both) => both,
        Err(refusal) => {
            case.refused = Some(refusal.code());
            return case;
        }
    };
    let (database, plain) = world.database(number / QUESTIONS_PER_DATABASE);
    let violation = world.runtime.block_on(async {
        let expected = match rows_of_plain(&plain, &plainly(&plain, &question.core, &question.asides)).await {
            Ok(expected) => expected,
            Err(unfit) => {
                case.refused = Some(unfit);
                return None;
            }
        };
        case.answered = true;
        let near = match compare(world, &core, &database, expected, &question).await {
            Ok(near) => near,
            // The gateway finds that out before it charges, and refuses (`Engine::rehearse`).
            Err(unplanned) if unplanned.starts_with("Planned(") => {
                say(&format!("the engine cannot plan: {}\n{unplanned}", question.core));
                (case.answered, case.refused) = (false, Some("engine_unplanned"));
                return None;
            }
            Err(violated) => return Some(format!("{}\n{violated}", question.core)),
        };
        case.checks += 1;
        // What filters, cuts or counts by a float that is not equal to the last bit, or by 0 for an empty sum's NULL,
        // may rightly differ.
        if question.sql == question.core || near {
            return None;
        }
        let Ok(expected) = rows_of_plain(&plain, &plainly(&plain, &question.sql, &question.asides)).await else {
            return None;
        };
        case.checks += 1;
        compare(world, &full, &database, expected, &question).await.err().map(|v| format!("{}\n{v}", question.sql))
    });
    case.violation = violation.map(|v| format!("question {number}: {v}\n{}", database.shown()));
    case
}

type Rows = Vec<Vec<ScalarValue>>;

/// What plain SQL answers, or why it is no standard to compare with.
async fn rows_of_plain(context: &SessionContext, sql: &str) -> Result<Rows, &'static str> {
    let failed = |_| "plain SQL failed";
    let frame = context.sql(sql).await.map_err(failed)?;
    if splits_groups(&frame.clone().into_optimized_plan().map_err(failed)?) {
        return Err("plain SQL splits groups");
    }
    Ok(rows(&frame.collect().await.map_err(failed)?))
}

/// Whether the engine may answer one group of `plan` as several: DataFusion 55 takes a constant key for constant through
/// GROUPING SETS too, which put NULL in its place, believes its input sorted by it and gives groups out too early.
fn splits_groups(plan: &LogicalPlan) -> bool {
    let constant = |expr: &Expr| matches!(expr.clone().unalias_nested().data, Expr::Literal(..));
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node
            && let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice()
        {
            let below = constants_of(&aggregate.input);
            let of_below = |expr: &Expr| matches!(expr, Expr::Column(c) if below.contains(c));
            found |= sets.distinct_expr().into_iter().any(|key| constant(key) || of_below(key));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_err() || found
}

/// The columns of a projection that are literals.
fn constants_of(plan: &LogicalPlan) -> Vec<Column> {
    let LogicalPlan::Projection(projection) = plan else { return vec![] };
    let literals = projection.expr.iter().zip(projection.schema.columns());
    literals
        .filter(|(expr, _)| matches!((*expr).clone().unalias_nested().data, Expr::Literal(..)))
        .map(|(_, column)| column)
        .collect()
}

fn rows(batches: &[RecordBatch]) -> Rows {
    let Some(first) = batches.first() else { return vec![] };
    let all = concat_batches(&first.schema(), batches).unwrap();
    let value = |column: &ArrayRef, row| plain_value(ScalarValue::try_from_array(column, row).unwrap());
    (0..all.num_rows()).map(|row| all.columns().iter().map(|c| value(c, row)).collect()).collect()
}

/// One spelling for texts of different Arrow types.
fn plain_value(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => ScalarValue::Utf8(text),
        other => other,
    }
}

/// Compares what our stages make of the exact sums with `expected`; whether some numbers were only near.
async fn compare(
    world: &World,
    analysis: &Analysis,
    database: &Database,
    expected: Rows,
    question: &Question,
) -> Result<bool, String> {
    let tables = database.tables(1, 8192);
    let opened = match exact(&world.engine, analysis, tables.clone()).await {
        Ok(opened) => opened,
        Err(fault) => return Err(format!("{fault:?}")),
    };
    let mut batches = vec![];
    for (release, opened) in analysis.releases().iter().zip(&opened) {
        for (group, persons) in opened.persons.iter().enumerate() {
            if *persons == 0 && opened.sums.iter().any(|vector| vector[group] != 0) {
                return Err("a public group without persons is not zero".into());
            }
        }
        batches.push(rebuilt(release, opened));
    }
    let finished = finish(&world.engine, analysis, &Noisy::kept(batches), tables.as_ref()).await;
    let finished = finished.map_err(|fault| format!("finishing: {fault:?}"))?;
    let mut found = rows(&finished.batches);
    if question.asked.intervals {
        // Noisy columns are followed by their ends.
        let names: Vec<String> = finished.schema.fields().iter().map(|f| f.name().clone()).collect();
        for row in &mut found {
            let mut names = names.iter();
            row.retain(|_| names.next().is_none_or(|n| !(n.ends_with("_lo") || n.ends_with("_hi"))));
        }
    }
    same(found, expected, analysis, database, question)
}

/// The batch of one release without noise: the groups that persons are in.
pub fn rebuilt(release: &Release, opened: &Opened) -> RecordBatch {
    let shown: Vec<usize> = (0..opened.persons.len()).filter(|g| release.keys == 0 || opened.persons[*g] > 0).collect();
    let vector = |index: usize| shown.iter().map(|g| opened.sums[index][*g]).collect::<Vec<i64>>();
    let float = |v: i64| v as f64;
    let mut columns: Vec<ArrayRef> = vec![];
    for (index, output) in release.outputs.iter().enumerate() {
        let data_type = release.schema.field(index).data_type();
        let values: ArrayRef = match output {
            Output::Key(key) => match shown.is_empty() {
                true => datafusion::arrow::array::new_empty_array(data_type),
                false => ScalarValue::iter_to_array(shown.iter().map(|g| opened.keys[*g][*key].clone())).unwrap(),
            },
            Output::Count(partial) => Arc::new(Int64Array::from(vector(*partial))),
            Output::Sum(partial) => match &release.partials[*partial].kind {
                Kind::Sum { grid, .. } if grid.step != 1.0 => {
                    Arc::new(Float64Array::from_iter_values(vector(*partial).into_iter().map(|v| float(v) * grid.step)))
                }
                _ => Arc::new(Int64Array::from(vector(*partial))),
            },
            Output::Mean { sum, rows } => {
                let Kind::Sum { grid, centre, .. } = &release.partials[*sum].kind else { panic!("no sum") };
                let mean = |(s, n): (i64, i64)| (n > 0).then(|| (float(*centre) + float(s) / float(n)) * grid.step);
                Arc::new(Float64Array::from_iter(vector(*sum).into_iter().zip(vector(*rows)).map(mean)))
            }
            Output::Moments { statistic, rows, x, y, product } => {
                let sums = |part: Option<usize>| -> Vec<f64> {
                    let Some(part) = part else { return vec![0.0; shown.len()] };
                    let Kind::Sum { grid, .. } = &release.partials[part].kind else { panic!("no sum") };
                    vector(part).into_iter().map(|v| float(v) * grid.step).collect()
                };
                let centre = |part: Option<usize>| match part.map(|p| &release.partials[p].kind) {
                    Some(Kind::Sum { grid, centre, .. }) => float(*centre) * grid.step,
                    _ => 0.0,
                };
                let parts = [sums(x.sum), sums(y.sum), sums(x.squares), sums(y.squares), sums(*product)];
                let centres = [centre(x.sum), centre(y.sum)];
                let one = |(group, n): (usize, i64)| {
                    statistics::of(*statistic, float(n), parts.each_ref().map(|p| p[group]), centres)
                };
                Arc::new(Float64Array::from_iter(vector(*rows).into_iter().enumerate().map(one)))
            }
            Output::Quantile(partial) => {
                let Kind::Histogram { candidates, rank, .. } = &release.partials[*partial].kind else { panic!() };
                let n = release.partials[..*partial].iter().filter(|p| p.picks()).count();
                let one = |g: &usize| {
                    let seen = &opened.histograms[n][*g];
                    let scores = || rank.scores(seen, candidates.count(), 0);
                    (!seen.is_empty()).then(|| statistics::best(&scores(), *rank, candidates))
                };
                let values = shown.iter().map(one);
                let values: ArrayRef = Arc::new(Float64Array::from_iter(values));
                statistics::timed(values, data_type)
            }
        };
        columns.push(cast(&values, data_type).unwrap());
    }
    for _ in 0..release.outputs.len() {
        columns.push(Arc::new(Float64Array::from(vec![Some(0.0); shown.len()])));
    }
    if release.says_who_stands_out() {
        columns.push(Arc::new(BooleanArray::from(vec![true; shown.len()])));
    }
    let fields = columns.iter().enumerate();
    let fields: Vec<Field> = fields.map(|(i, c)| Field::new(column_name(i), c.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(shown.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
}

fn same(
    mut found: Rows,
    mut expected: Rows,
    analysis: &Analysis,
    database: &Database,
    question: &Question,
) -> Result<bool, String> {
    if found.len() != expected.len() {
        return Err(format!(
            "{} rows, plain SQL has {}\nours {found:?}\nplain {expected:?}",
            found.len(),
            expected.len()
        ));
    }
    // Keys stand first in every question.
    let keys = question.keys;
    let order = |row: &Vec<ScalarValue>| {
        let whole: Vec<String> = row.iter().take(keys).map(|v| format!("{v:?}")).collect();
        // An empty sum is NULL there and 0 here: it stands in one place for both.
        let floats: Vec<i64> = row.iter().skip(keys).map(|v| (number(v).unwrap_or(0.0) * 1000.0) as i64).collect();
        (whole, floats)
    };
    found.sort_by_key(order);
    expected.sort_by_key(order);
    let tolerance = tolerance(analysis, database, question);
    let outputs = outputs(analysis, question);
    let mut near = false;
    for (ours, plain) in found.iter().zip(&expected) {
        for (index, (a, b)) in ours.iter().zip(plain).enumerate() {
            if a == b {
                continue;
            }
            let close = match (number(a), number(b)) {
                (Some(x), Some(y)) if a.data_type().is_floating() => {
                    (x - y).abs() <= tolerance * 1f64.max(y.abs() * 1e-6)
                }
                _ => false,
            };
            let close = close || outputs.get(index).is_some_and(|output| as_near_as_it_can_be(output.as_ref(), a, b));
            // An empty sum is 0 with us: NULL would tell that nobody is there.
            let empty = b.is_null() && zero_or_null(a) && index >= keys;
            if !close && !empty {
                return Err(format!("column {index}: ours {a:?}, plain SQL {b:?}\nours {ours:?}\nplain {plain:?}"));
            }
            near = true;
        }
    }
    Ok(near)
}

fn zero_or_null(value: &ScalarValue) -> bool {
    value.is_null() || number(value) == Some(0.0)
}

fn number(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Float64(v) => *v,
        ScalarValue::Float32(v) => v.map(f64::from),
        other => match other.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(v)) if other.data_type().is_integer() => v,
            _ => None,
        },
    }
}

/// What each visible column of the answer is.
fn outputs(analysis: &Analysis, question: &Question) -> Vec<Option<(Release, Output)>> {
    let names = analysis.finish().schema().fields().iter().map(|f| f.name().clone());
    let own = |name: &String| !question.asked.intervals || !(name.ends_with("_lo") || name.ends_with("_hi"));
    let visible = names.zip(analysis.passed()).filter(|(name, _)| own(name));
    visible
        .map(|(_, passed)| match passed {
            Some(passed) => {
                let release = &analysis.releases()[passed.release];
                Some((release.clone(), release.outputs[passed.output].clone()))
            }
            // A column of several grouping sets is no single output; a pick among them is near as that pick is.
            None => {
                let all = analysis.releases().iter().flat_map(|r| r.outputs.iter().map(|o| (r.clone(), o.clone())));
                let mut picks = all.filter(|(_, output)| matches!(output, Output::Quantile(_)));
                picks.next()
            }
        })
        .collect()
}

/// Percentiles and ends to one candidate; statistics of numbers on their grids to the last digits of the arithmetic,
/// except where there is no spread and plain SQL divides rounding errors.
fn as_near_as_it_can_be(output: Option<&(Release, Output)>, a: &ScalarValue, b: &ScalarValue) -> bool {
    let amount = |v: &ScalarValue| match v {
        ScalarValue::Date32(days) => days.map(f64::from),
        ScalarValue::TimestampMicrosecond(micros, _) => micros.map(|m| m as f64),
        other => number(other),
    };
    match output {
        Some((release, Output::Quantile(partial))) => {
            let Kind::Histogram { candidates, rank, .. } = &release.partials[*partial].kind else { return false };
            let near = |(x, y): (f64, f64)| {
                let apart = match rank {
                    // In the middle between two values, each of which may be as far as that from its candidate.
                    Rank::Quantile { .. } => candidates.widest(),
                    Rank::Least | Rank::Greatest => {
                        candidates.apart((y / candidates.grid().step).clamp(-9e15, 9e15).round() as i64)
                    }
                };
                (x - y).abs() <= apart * 1.01 + 1e-9
            };
            amount(a).zip(amount(b)).is_some_and(near)
        }
        Some((_, Output::Moments { .. })) => match (number(a), number(b)) {
            (Some(x), Some(y)) => (x - y).abs() <= 1e-6 * (1.0 + y.abs()),
            (None, y) => y.is_none_or(|y| y.is_nan() || y.is_infinite() || y.abs() < 1e-6 || y.abs() > 1e6),
            (Some(x), None) => x == 0.0,
        },
        // The union of grouping sets may widen a type; the value is the same.
        _ => a.data_type() != b.data_type() && as_float(a).zip(as_float(b)).is_some_and(|(x, y)| x == y),
    }
}

fn as_float(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&datafusion::arrow::datatypes::DataType::Float64) {
        Ok(ScalarValue::Float64(value)) => value,
        _ => None,
    }
}

/// Rows × grid: of the release, and of the sums inside a person that it is made of.
fn tolerance(analysis: &Analysis, database: &Database, question: &Question) -> f64 {
    let rows: usize = database.units.values().map(RecordBatch::num_rows).sum();
    let kinds = analysis.releases().iter().flat_map(|r| &r.partials).map(|p| &p.kind);
    let steps = kinds.filter_map(|k| if let Kind::Sum { grid, .. } = k { Some(grid.step) } else { None });
    let step = steps.filter(|step| *step != 1.0).fold(0.0, f64::max);
    let inside = question.labels.iter().any(|l| *l == "per person: sum" || *l == "per person: avg");
    // A join makes more rows than the tables have.
    20.0 * (rows as f64 + 1.0) * (step * 0.51 + 1e-9 + if inside { 0.05 } else { 0.0 })
}

/// The comparison itself finds what it is for.
#[test]
fn a_wrong_sum_is_found() {
    let world = World::new();
    let (database, plain) = world.database(3);
    let asked = Asked { rows_per_group: Some(1), groups: Some(u32::MAX), ..Asked::default() };
    let sql = "SELECT kind AS k0, COUNT(*) AS a0 FROM demo.visit GROUP BY kind".to_owned();
    let question = Question { core: sql.clone(), keys: 1, labels: vec![], asides: vec![], asked: asked.clone(), sql };
    let bounds = Bounds { work_rows_max: 1 << 22, cells_max: 100_000, population_max: 64 };
    let analysis = ask(&world.directory, &question.sql, &asked, &bounds).unwrap();
    let wrong = world.runtime.block_on(async {
        let expected = rows_of_plain(&plain, &question.sql).await.unwrap();
        compare(&world, &analysis, &database, expected, &question).await
    });
    assert!(wrong.is_err(), "one row per person and group counted, and nobody noticed");
}

/// The three values of NOT IN, on which plain SQL's mark joins err: compared with what the standard says in other words.
#[test]
fn not_in_over_nulls_means_what_the_standard_says() {
    let world = World::new();
    let in_other_words = [
        (
            "v.kind NOT IN (SELECT w.code FROM demo.visit AS w WHERE w.person_id = v.person_id)",
            "NOT EXISTS (SELECT 1 FROM demo.visit AS w WHERE w.person_id = v.person_id AND (w.code IS NULL OR w.code = v.kind))",
        ),
        (
            "v.code NOT IN (SELECT w.minutes FROM demo.visit AS w WHERE w.person_id = v.person_id AND w.urgent)",
            "NOT EXISTS (SELECT 1 FROM demo.visit AS w WHERE w.person_id = v.person_id AND w.urgent \
             AND (v.code IS NULL OR w.minutes = v.code))",
        ),
        ("v.kind NOT IN (SELECT concept_id FROM vocab.alias)", "FALSE"),
        ("v.code NOT IN (SELECT concept_id FROM vocab.concept WHERE concept_id < 3)", "v.code > 2 OR v.code < 0"),
        ("v.code NOT IN (SELECT concept_id FROM vocab.concept WHERE FALSE)", "TRUE"),
        ("(v.code IN (SELECT concept_id FROM vocab.alias)) IS NULL", "v.code IS NULL OR v.code NOT IN (1, 2, 3, 9)"),
    ];
    let asked = Asked { rows_per_group: Some(u32::MAX), groups: Some(u32::MAX), ..Asked::default() };
    let bounds = Bounds { work_rows_max: 1 << 22, cells_max: 100_000, population_max: 64 };
    for number in 0..6 {
        let (database, plain) = world.database(number);
        for (ours, theirs) in in_other_words {
            let of = |condition: &str| format!("SELECT COUNT(*) AS a0 FROM demo.visit AS v WHERE {condition}");
            let question = Question {
                core: of(theirs),
                keys: 0,
                labels: vec![],
                asides: vec![],
                asked: asked.clone(),
                sql: of(ours),
            };
            let analysis = ask(&world.directory, &question.sql, &asked, &bounds).unwrap();
            let same = world.runtime.block_on(async {
                let expected = rows_of_plain(&plain, &question.core).await.unwrap();
                compare(&world, &analysis, &database, expected, &question).await
            });
            assert_eq!(same, Ok(false), "{ours}");
        }
    }
}
