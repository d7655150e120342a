//! What does this statement ask, over which tables, within the public limits?

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DataFusionError, Result as Planned, ScalarValue, SchemaError, TableReference,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion, TreeNodeVisitor},
    },
    logical_expr::{
        AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, Subquery, TableSource, WindowUDF,
        expr::ScalarFunction,
        planner::{ContextProvider, ExprPlanner},
    },
    optimizer::{
        Analyzer, Optimizer, OptimizerContext, OptimizerRule, eliminate_cross_join::EliminateCrossJoin,
        extract_equijoin_predicate::ExtractEquijoinPredicate,
    },
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::ast::Statement,
    },
};

use super::{
    CataloguedTable, Directory, PADDED_MAX, Standing, catalogued, dialect, earlier, lineage, numbered, rounding,
    unpivoted, vocabulary,
};
use crate::terms::{Refusal, Touched};

/// The public limits of one question.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of SQL.
    pub text_bytes_max: usize,
    /// Nested parentheses, subqueries and expressions.
    pub nesting_max: usize,
    /// Columns of any step of the question.
    pub columns_max: usize,
    /// Steps of the whole plan.
    pub steps_max: usize,
    /// Operators in a row, as in `a OR b OR c`, with those that stand open around them.
    pub operators_max: usize,
    /// Levels of one expression of the planned question.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes_max: 64 * 1024,
            nesting_max: 32,
            columns_max: 256,
            steps_max: 1024,
            operators_max: 1500,
            depth_max: 200,
        }
    }
}

/// A planned question over known tables: typed, casts explicit, join keys extracted, nothing optimised. Only
/// [`admit`] makes one:
/// ```compile_fail,E0451
/// use datafusion::logical_expr::LogicalPlan;
/// use sekisho::sql::Question;
/// fn forge(plan: LogicalPlan, others: Question) -> Question {
///     Question { plan, ..others }
/// }
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Question {
    plan: LogicalPlan,
    touched: Touched,
    public: bool,
    parameters: Vec<DataType>,
}

/// What stands for `$1`, `$2` and so on.
#[derive(Debug, Clone)]
pub enum Parameters {
    /// These values, in this order; also none.
    Bound(Vec<ScalarValue>),
    /// Nothing yet: each is NULL of the type that its place suggests, so that the shape of the answer can be told.
    Open,
}

impl Question {
    /// The types of its parameters, in their order.
    #[must_use]
    pub fn parameters(&self) -> &[DataType] {
        &self.parameters
    }

    /// The plan over [`CataloguedTable`] sources.
    #[must_use]
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Every table and column in every position.
    #[must_use]
    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Whether no record of a person lies below any part of it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// The data set whose persons it is about; `None` for a public one.
    ///
    /// # Errors
    /// [`Refusal::PersonsMixed`] where tables of two data sets meet.
    pub fn dataset(&self) -> Result<Option<crate::terms::DatasetName>, Refusal> {
        let mut datasets = std::collections::BTreeSet::new();
        for_each_table(&self.plan, |table| {
            if let Standing::Unit { dataset, .. } = &table.standing {
                datasets.insert(dataset.clone());
            }
        });
        match datasets.len() {
            0 | 1 => Ok(datasets.pop_first()),
            _ => Err(Refusal::PersonsMixed { hint: "ask each data set in a question of its own".into() }),
        }
    }
}

/// Plans `statement` over the tables of `directory`. `today` is the value of `now()` and `current_date`.
///
/// # Errors
/// A [`Refusal`] that names the table, column, function or limit; never the engine's own wording.
pub fn admit(
    statement: Statement,
    directory: &Directory,
    today: NaiveDate,
    parameters: Parameters,
    limits: &Limits,
) -> Result<Question, Refusal> {
    refuse_engine_names(&statement)?;
    let statement = dialect::spoken(statement)?;
    let world = World { directory, options: ConfigOptions::default() };
    let admission = Admission { world, today, parameters, limits };
    match admission.as_written(statement.clone()) {
        // With the names and types that PostgreSQL would have given.
        Err(refusal @ (Refusal::NotAQuestion { .. } | Refusal::UnknownColumn { .. })) => {
            let (named, dated) = (dialect::named_as_postgres(statement.clone()), dialect::dated_literals(statement));
            let both = dialect::named_as_postgres(dated.clone());
            [named, dated, both].into_iter().find_map(|other| admission.as_written(other).ok()).ok_or(refusal)
        }
        admitted => admitted,
    }
}

/// What a statement is planned with.
struct Admission<'a> {
    world: World<'a>,
    today: NaiveDate,
    parameters: Parameters,
    limits: &'a Limits,
}

impl Admission<'_> {
    fn as_written(&self, statement: Statement) -> Result<Question, Refusal> {
        let Self { world, today, parameters, limits } = self;
        let options = ParserOptions { map_string_types_to_utf8view: false, ..ParserOptions::default() };
        let planned = |statement| SqlToRel::new_with_options(world, options).sql_statement_to_plan(statement);
        let plan = match planned(statement.clone()) {
            Err(fault) if stands_twice(&fault) => planned(dialect::told_apart(statement)),
            planned => planned,
        };
        let plan = plan.map_err(unplanned)?;
        // First of all: a WITH that reads another twice doubles the steps, and everything below walks all of them.
        within_limits(&plan, limits)?;
        only_asks(&plan)?;
        let types = parameter_types(&plan)?;
        let values = match parameters {
            Parameters::Bound(values) if values.len() == types.len() => values.clone(),
            Parameters::Bound(_) => {
                return Err(Refusal::NotAQuestion { hint: format!("bind exactly {} parameters", types.len()) });
            }
            Parameters::Open => {
                types.iter().map(ScalarValue::try_new_null).collect::<Planned<_>>().map_err(unplanned)?
            }
        };
        let plan = if types.is_empty() { plan } else { plan.with_param_values(values).map_err(unplanned)? };
        let plan = fix_clock(plan, *today).map_err(unplanned)?;
        let plan = Analyzer::new().execute_and_check(plan, &world.options, |_, _| {}).map_err(unplanned)?;
        let plan = rounding::rounded(plan).and_then(unpivoted::unpivoted).map_err(unplanned)?;
        let plan = normalise(plan).and_then(earlier::earlier).and_then(numbered::named).map_err(unplanned)?;
        within_limits(&plan, limits)?;
        padded_by_literals(&plan)?;
        let touched = lineage::touched(&plan).map_err(unplanned)?;
        let mut public = true;
        for_each_table(&plan, |table| public &= matches!(table.standing, Standing::Public { .. }));
        Ok(Question { plan, touched, public, parameters: types })
    }
}

/// What begins with SELECT may still define or change something: `SELECT ... INTO t`.
fn only_asks(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut asks = true;
    let _ = plan.apply_with_subqueries(|node| {
        asks &= !matches!(
            node,
            LogicalPlan::Ddl(_)
                | LogicalPlan::Dml(_)
                | LogicalPlan::Copy(_)
                | LogicalPlan::Statement(_)
                | LogicalPlan::Extension(_)
                | LogicalPlan::Explain(_)
                | LogicalPlan::Analyze(_)
                | LogicalPlan::DescribeTable(_)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    match asks {
        true => Ok(()),
        false => {
            let hint = "ask with SELECT; definitions, changes and copies do not exist".to_owned();
            Err(Refusal::NotAQuestion { hint })
        }
    }
}

/// The types of `$1`, `$2` and so on, as their places suggest; text where nothing does.
fn parameter_types(plan: &LogicalPlan) -> Result<Vec<DataType>, Refusal> {
    let named = plan.get_parameter_types().map_err(unplanned)?;
    let of = |number: usize| named.get(&format!("${number}")).map(|t| t.clone().unwrap_or(DataType::Utf8));
    (1..=named.len())
        .map(of)
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::NotAQuestion { hint: "write parameters as ? or $1, $2 and so on".into() })
}

fn for_each_table(plan: &LogicalPlan, mut visit: impl FnMut(&CataloguedTable)) {
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = catalogued(scan)
        {
            visit(table);
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// Only the two rules that make key equalities visible; everything else waits until privacy has typed the plan.
/// Equalities of ON are extracted first: [`EliminateCrossJoin`] moves what it still finds there to a filter above.
fn normalise(plan: LogicalPlan) -> Planned<LogicalPlan> {
    // In this order: a condition still in ON would be lifted out of reach by the elimination of cross joins.
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
        vec![Arc::new(ExtractEquijoinPredicate::new()), Arc::new(EliminateCrossJoin::new())];
    let context = OptimizerContext::new().with_max_passes(1).with_skip_failing_rules(false);
    let plan = Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})?;
    // The rules leave the subqueries of expressions out.
    let inside = |node: LogicalPlan| match node {
        LogicalPlan::Subquery(subquery) => {
            let plan = normalise(Arc::unwrap_or_clone(subquery.subquery))?;
            Ok(Transformed::yes(LogicalPlan::Subquery(Subquery { subquery: Arc::new(plan), ..subquery })))
        }
        other => Ok(Transformed::no(other)),
    };
    plan.transform_up(|node| node.map_subqueries(inside)).data()
}

fn within_limits(plan: &LogicalPlan, limits: &Limits) -> Result<(), Refusal> {
    let (mut widest, mut steps, mut deepest) = (0, 0, Depth::default());
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| expr.visit(&mut deepest))?;
        widest = widest.max(node.schema().fields().len());
        steps += 1;
        // Not one step further: there may be more of them than anyone can count.
        Ok(if steps > limits.steps_max { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if widest > limits.columns_max {
        return Err(Refusal::TooComplex { limit: format!("at most {} columns", limits.columns_max) });
    }
    if deepest.most > limits.depth_max {
        return Err(Refusal::TooComplex { limit: format!("expressions of at most {} levels", limits.depth_max) });
    }
    if steps > limits.steps_max {
        return Err(Refusal::TooComplex { limit: format!("at most {} steps", limits.steps_max) });
    }
    Ok(())
}

/// A text is filled up to a length that stands in the question, and to no great one.
fn padded_by_literals(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut named = None;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e
                    && matches!(call.func.name(), "lpad" | "rpad")
                    && !call.args.get(1).is_some_and(is_short)
                {
                    named = Some(call.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    match named {
        Some(name) => {
            let hint = format!("pad to a literal length of at most {PADDED_MAX}");
            Err(Refusal::FunctionNotAllowed { name, hint })
        }
        None => Ok(()),
    }
}

fn is_short(length: &Expr) -> bool {
    match length {
        Expr::Cast(cast) => is_short(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(length)) => length.is_none_or(|n| n <= i64::from(PADDED_MAX)),
            _ => false,
        },
        _ => false,
    }
}

/// How deep an expression is. The engine's own walk is safe on any stack; ours are not.
#[derive(Default)]
struct Depth {
    now: usize,
    most: usize,
}

impl<'n> TreeNodeVisitor<'n> for Depth {
    type Node = Expr;

    fn f_down(&mut self, _: &'n Expr) -> Planned<TreeNodeRecursion> {
        self.now += 1;
        self.most = self.most.max(self.now);
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, _: &'n Expr) -> Planned<TreeNodeRecursion> {
        self.now = self.now.saturating_sub(1);
        Ok(TreeNodeRecursion::Continue)
    }
}

/// `now()` and its kin become the date of the data version, so that a kept answer keeps its meaning.
fn fix_clock(plan: LogicalPlan, today: NaiveDate) -> Planned<LogicalPlan> {
    let days = today.signed_duration_since(NaiveDate::default()).num_days();
    let micros = today.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            let name = expr.schema_name().to_string();
            expr.transform_up(|e| {
                let Expr::ScalarFunction(ScalarFunction { func, args }) = &e else { return Ok(Transformed::no(e)) };
                let value = match func.name() {
                    _ if !args.is_empty() => return Ok(Transformed::no(e)),
                    "now" => ScalarValue::TimestampMicrosecond(Some(micros), None),
                    "current_date" | "today" => ScalarValue::Date32(i32::try_from(days).ok()),
                    _ => return Ok(Transformed::no(e)),
                };
                Ok(Transformed::yes(Expr::Literal(value, None)))
            })
            .map(|changed| match changed.transformed && changed.data.schema_name().to_string() != name {
                true => changed.update_data(|e| e.alias(name)),
                false => changed,
            })
        })
    })
    .data()
}

/// Names that our own rewrites use may not be written by a caller.
fn refuse_engine_names(statement: &Statement) -> Result<(), Refusal> {
    match statement.to_string().to_ascii_lowercase().contains("__sekisho") {
        true => Err(Refusal::NotAQuestion { hint: "names with __sekisho are taken".into() }),
        false => Ok(()),
    }
}

/// What a planner's fault says of the caller's own text, in our words.
fn unplanned(fault: DataFusionError) -> Refusal {
    match fault.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Refusal>() {
            Some(refusal) => refusal.clone(),
            None => general(),
        },
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Refusal::UnknownColumn { name: flat(field) },
            SchemaError::AmbiguousReference { field } => {
                Refusal::NotAQuestion { hint: format!("{} names two columns; say which table's", flat(field)) }
            }
            SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                Refusal::NotAQuestion { hint: format!("{name} stands twice; give one of them another name") }
            }
        },
        DataFusionError::Plan(text) => planned_text(text),
        DataFusionError::NotImplemented(_) => {
            Refusal::FunctionNotAllowed { name: "this form of SQL".into(), hint: "the engine does not know it".into() }
        }
        _ => general(),
    }
}

/// Whether two columns would have one name.
fn stands_twice(fault: &DataFusionError) -> bool {
    match fault.find_root() {
        DataFusionError::SchemaError(schema, _) => matches!(
            schema.as_ref(),
            SchemaError::DuplicateUnqualifiedField { .. } | SchemaError::DuplicateQualifiedField { .. }
        ),
        DataFusionError::Plan(text) => text.contains(SAME_NAME),
        _ => false,
    }
}

/// So the planner says that two expressions have one name.
const SAME_NAME: &str = "require unique expression names";

/// The planner reports an unknown function as text only; the name in it is the caller's own.
fn planned_text(text: &str) -> Refusal {
    let named = |prefix: &str| {
        let (_, rest) = text.split_once(prefix)?;
        Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
    };
    match named("Invalid function '") {
        Some(name) if name == "mode" => {
            let hint = "the most frequent value: SELECT x, COUNT(*) AS n ... GROUP BY x ORDER BY n DESC LIMIT 1";
            Refusal::FunctionNotAllowed { name, hint: hint.into() }
        }
        Some(name) if !name.is_empty() => {
            Refusal::FunctionNotAllowed { name, hint: "see the list of functions".into() }
        }
        _ if text.contains(SAME_NAME) => {
            Refusal::NotAQuestion { hint: "two columns have one name; give one of them another name".into() }
        }
        _ if text.contains("must appear in the GROUP BY clause") || text.contains("must be part of GROUP BY") => {
            Refusal::NotAQuestion { hint: "every selected column is aggregated or stands in GROUP BY".into() }
        }
        _ => general(),
    }
}

fn general() -> Refusal {
    Refusal::NotAQuestion { hint: "the names are known, but types, arguments or clauses do not fit together".into() }
}

fn flat(column: &Column) -> String {
    column.flat_name()
}

/// What the planner may look up. Files, table functions and the engine's own catalogue do not exist in it.
struct World<'a> {
    directory: &'a Directory,
    options: ConfigOptions,
}

impl ContextProvider for World<'_> {
    fn get_table_source(&self, name: TableReference) -> Planned<Arc<dyn TableSource>> {
        match self.directory.find(&name) {
            Some(table) => Ok(table),
            None => {
                let refusal = Refusal::UnknownTable { name: name.to_string() };
                Err(DataFusionError::External(Box::new(refusal)))
            }
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &vocabulary().planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        vocabulary().scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        vocabulary().aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        vocabulary().window.get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    // The planner reports an unknown function by its name only where it knows some other to compare it with.
    fn udf_names(&self) -> Vec<String> {
        vocabulary().scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        vocabulary().aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        vocabulary().window.keys().cloned().collect()
    }
}
