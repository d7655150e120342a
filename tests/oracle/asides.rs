//! What is a scalar subquery that plain SQL cannot take out of its row?
//!
//! DataFusion evaluates correlated scalar subqueries with equalities alone. In the text that plain SQL is given, others
//! are calls of a function that meets every outer row by itself with all inner rows.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array, RecordBatch},
        compute::cast,
        datatypes::{DataType, Field, Schema},
    },
    common::DataFusionError,
    datasource::MemTable,
    logical_expr::{ColumnarValue, ScalarUDF, Signature, Volatility, expr_fn::SimpleScalarUDF},
    prelude::SessionContext,
};

use super::expressions::Col;

/// One subquery, as we are asked it and as a function.
#[derive(Debug, Clone)]
pub struct Aside {
    asked: String,
    name: String,
    call: String,
    arguments: usize,
    /// Over a table of the function's arguments: the number of the row, and the value where any inner row is met.
    query: String,
    counts: bool,
}

impl Aside {
    /// `None` where the outer columns cannot be told from others in the text.
    pub fn new(name: &str, with: &str, asked: &str, parts: (&str, &str, &str), cols: &[Col]) -> Option<Self> {
        let (call, table, condition) = parts;
        let mut outer: Vec<&str> = cols.iter().map(|c| c.sql.as_str()).filter(|sql| condition.contains(sql)).collect();
        outer.sort_by_key(|sql| std::cmp::Reverse(sql.len()));
        outer.dedup();
        if outer.iter().any(|sql| !sql.contains('.')) {
            return None;
        }
        let mut condition = condition.to_owned();
        for (place, sql) in outer.iter().enumerate() {
            condition = condition.replace(sql, &format!("{name}_rows.a{place}"));
        }
        let query = format!(
            "{with}SELECT {name}_rows.r, {call} AS v FROM {table} CROSS JOIN {name}_rows WHERE {condition} \
             GROUP BY {name}_rows.r"
        );
        Some(Self {
            asked: asked.to_owned(),
            name: name.to_owned(),
            call: format!("{name}({})", outer.join(", ")),
            arguments: outer.len(),
            query,
            counts: call.starts_with("COUNT"),
        })
    }
}

/// `sql` as plain SQL can answer it in `context`.
pub fn plainly(context: &SessionContext, sql: &str, asides: &[Aside]) -> String {
    let replaced = |text: &str| asides.iter().rev().fold(text.to_owned(), |text, a| text.replace(&a.asked, &a.call));
    for aside in asides {
        let (inside, aside) = (context.clone(), Aside { query: replaced(&aside.query), ..aside.clone() });
        let (name, signature) = (aside.name.clone(), Signature::any(aside.arguments, Volatility::Stable));
        let function = Arc::new(move |values: &[ColumnarValue]| {
            let rows = ColumnarValue::values_to_arrays(values)?;
            let met = std::thread::scope(|scope| scope.spawn(|| meet(&inside, &aside, rows)).join());
            met.unwrap().map(|values| ColumnarValue::Array(Arc::new(values)))
        });
        let function = SimpleScalarUDF::new_with_signature(name, signature, DataType::Int64, function);
        context.register_udf(ScalarUDF::from(function));
    }
    replaced(sql)
}

fn meet(context: &SessionContext, aside: &Aside, columns: Vec<ArrayRef>) -> Result<Int64Array, DataFusionError> {
    let length = columns.first().map_or(1, |c| c.len());
    let numbers: ArrayRef = Arc::new((0..i64::try_from(length).unwrap()).collect::<Int64Array>());
    let mut fields = vec![Field::new("r", DataType::Int64, false)];
    fields.extend(columns.iter().enumerate().map(|(i, c)| Field::new(format!("a{i}"), c.data_type().clone(), true)));
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(Arc::clone(&schema), std::iter::once(numbers).chain(columns).collect())?;
    let table = format!("{}_rows", aside.name);
    context.deregister_table(table.as_str())?;
    context.register_table(table.as_str(), Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(async { context.sql(&aside.query).await?.collect().await })?;
    let mut values = vec![aside.counts.then_some(0); length];
    for batch in &found {
        let (numbers, value) = (cast(batch.column(0), &DataType::Int64)?, cast(batch.column(1), &DataType::Int64)?);
        let integers =
            |array: &ArrayRef| array.as_any().downcast_ref::<Int64Array>().unwrap().iter().collect::<Vec<_>>();
        for (number, value) in integers(&numbers).into_iter().zip(integers(&value)) {
            values[usize::try_from(number.unwrap()).unwrap()] = value;
        }
    }
    Ok(values.into())
}
