//! What does an attacker ask, and what do they see of the answer?

use std::fmt::Write as _;

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, SchemaRef},
    },
    common::ScalarValue,
};

use super::{guess::Noise, measure::Spent, people};
use crate::cli::{
    Stop,
    client::{Client, ClientFault},
};

/// An account under a permit.
#[derive(Debug, Clone)]
pub struct Asker {
    client: Client,
    permit: String,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// With all metadata.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl Asker {
    /// The session of `client` under `permit`.
    ///
    /// # Errors
    /// [`Stop`] where the permit's name cannot stand in a header.
    pub fn new(client: Client, permit: &str) -> Result<Self, Stop> {
        Ok(Self { client: client.with_setting("permit", permit)?, permit: permit.to_owned() })
    }

    /// The same with another setting.
    ///
    /// # Errors
    /// [`Stop`] where it cannot stand in a header.
    pub fn with(&self, name: &str, value: &str) -> Result<Self, Stop> {
        Ok(Self { client: self.client.clone().with_setting(name, value)?, permit: self.permit.clone() })
    }

    /// Asks.
    ///
    /// # Errors
    /// The refusal, or a broken connection.
    pub async fn ask(&self, sql: &str) -> Result<Answer, ClientFault> {
        let (schema, batches) = self.client.query(sql).await?;
        Ok(Answer { schema, batches })
    }

    /// Asks for so much ε.
    ///
    /// # Errors
    /// The refusal, or a broken connection.
    pub async fn ask_for(&self, epsilon: f64, sql: &str) -> Result<Answer, ClientFault> {
        let (schema, batches) = self.client.clone().with_setting("epsilon", &epsilon.to_string())?.query(sql).await?;
        Ok(Answer { schema, batches })
    }

    /// Prepares and asks.
    ///
    /// # Errors
    /// The refusal, or a broken connection.
    pub async fn ask_prepared(&self, epsilon: f64, sql: &str) -> Result<Answer, ClientFault> {
        let client = self.client.clone().with_setting("epsilon", &epsilon.to_string())?;
        let prepared = client.prepare(sql).await?;
        let (schema, batches) = client.query_prepared(&prepared, None).await?;
        client.close_prepared(prepared).await?;
        Ok(Answer { schema, batches })
    }

    /// What the permit has spent, by the gateway's own account.
    ///
    /// # Errors
    /// [`Stop`] where it does not say.
    pub async fn spent(&self) -> Result<Spent, Stop> {
        let sql = format!(
            "SELECT spent_epsilon, delta FROM sekisho.my_budget WHERE cap = 'permit {}'",
            self.permit.replace('\'', "''")
        );
        let answer = self.ask(&sql).await?;
        let one = |name| answer.numbers(name).first().copied().flatten();
        let said = one("spent_epsilon").zip(one("delta"));
        said.map(|(epsilon, delta)| Spent { epsilon, delta })
            .ok_or_else(|| Stop::Fault(format!("my_budget says nothing of {}", self.permit)))
    }

    /// What the gateway says of the permit's budget, to the last digit.
    ///
    /// # Errors
    /// The refusal, or a broken connection.
    pub async fn budget(&self) -> Result<String, ClientFault> {
        let sql = format!(
            "SELECT epsilon, delta, spent_epsilon, left_for_one_question FROM sekisho.my_budget WHERE cap = 'permit {}'",
            self.permit
        );
        Ok(seen(&self.ask(&sql).await, false))
    }

    /// The code of the refusal; `answered` where there was none.
    ///
    /// # Errors
    /// [`Stop`] for a broken connection.
    pub async fn code(&self, sql: &str) -> Result<String, Stop> {
        match self.ask(sql).await {
            Ok(_) => Ok("answered".into()),
            Err(ClientFault::Refused { code, .. }) => Ok(code),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The client underneath.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Answer {
    /// A column as numbers, by its name.
    #[must_use]
    pub fn numbers(&self, column: &str) -> Vec<Option<f64>> {
        let Ok(place) = self.schema.index_of(column) else { return vec![] };
        self.rows().into_iter().map(|row| row.get(place).and_then(number)).collect()
    }

    /// A column of numbers by cell, for questions that group by `y` and `m`.
    #[must_use]
    pub fn by_cell(&self, column: &str) -> Vec<Option<f64>> {
        let mut cells = vec![None; people::CELLS];
        let (years, months) = (self.numbers("y"), self.numbers("m"));
        for ((year, month), value) in years.into_iter().zip(months).zip(self.numbers(column)) {
            let cell = year.zip(month).and_then(|(y, m)| people::cell_of(y as i64, m as i64));
            if let Some(place) = cell.and_then(|cell| cells.get_mut(cell)) {
                *place = value;
            }
        }
        cells
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<ScalarValue>> {
        let row = |batch: &RecordBatch, at: usize| -> Vec<ScalarValue> {
            batch.columns().iter().map(|c| ScalarValue::try_from_array(c, at).unwrap_or(ScalarValue::Null)).collect()
        };
        self.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
    }

    /// What the metadata says of the answer under `sekisho.NAME`.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<&str> {
        self.schema.metadata().get(&format!("sekisho.{name}")).map(String::as_str)
    }

    /// What the metadata of a column says under `sekisho.NAME`.
    #[must_use]
    pub fn of_column(&self, column: &str, name: &str) -> Option<&str> {
        let field = self.schema.field_with_name(column).ok()?;
        field.metadata().get(&format!("sekisho.{name}")).map(String::as_str)
    }

    /// The distribution of a column's noise as its metadata states it.
    #[must_use]
    pub fn noise(&self, column: &str) -> Option<Noise> {
        Noise::stated(self.of_column(column, "mechanism")?, self.of_column(column, "scale")?)
    }

    /// The 95 % half-width that a column states.
    #[must_use]
    pub fn half_width(&self, column: &str) -> Option<f64> {
        self.of_column(column, "half_width_95")?.parse().ok()
    }

    /// The ε that it says it cost.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.says("epsilon_spent").and_then(|spent| spent.parse().ok()).unwrap_or(0.0)
    }
}

/// Everything of an exchange that must not depend on whether one person is in the data, as one text: refusals word by
/// word; of an answer all metadata but the receipt, every key and exact value, and for noised values that there is one.
/// Where groups are `selected` with noise, which ones appear is noise, too.
#[must_use]
pub fn seen(exchange: &Result<Answer, ClientFault>, selected: bool) -> String {
    let answer = match exchange {
        Ok(answer) => answer,
        // The number of the entry to quote counts what was asked before.
        Err(fault) => return fault.to_string().replace(|c: char| c.is_ascii_digit(), "#"),
    };
    let mut text = String::new();
    let mut facts: Vec<_> = answer.schema.metadata().iter().filter(|(k, _)| !k.starts_with(RECEIPT)).collect();
    facts.sort();
    let _ = writeln!(text, "{facts:?}");
    let noised: Vec<bool> = answer.schema.fields().iter().map(|f| f.metadata().contains_key(MECHANISM)).collect();
    for field in answer.schema.fields() {
        let mut facts: Vec<_> = field.metadata().iter().collect();
        facts.sort();
        let _ = writeln!(text, "{} {} {} {facts:?}", field.name(), field.data_type(), field.is_nullable());
    }
    if !selected {
        for row in answer.rows() {
            let shown = row.iter().zip(&noised).map(|(v, noised)| if *noised { "~".into() } else { v.to_string() });
            let _ = writeln!(text, "{}", shown.collect::<Vec<String>>().join("|"));
        }
    }
    text
}

fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number,
        _ => None,
    }
}

const RECEIPT: &str = "sekisho.receipt";
const MECHANISM: &str = "sekisho.mechanism";

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use datafusion::arrow::{
        array::{ArrayRef, Int64Array},
        datatypes::{Field, Schema},
    };

    use super::*;

    /// An answer with keys, noised numbers, the scale that it states, and its metadata.
    fn answer(keys: &[i64], noised: &[i64], scale: &str, of_all: [(&str, &str); 2]) -> Result<Answer, ClientFault> {
        let stated =
            HashMap::from([(MECHANISM.into(), "discrete_laplace".into()), ("sekisho.scale".into(), scale.into())]);
        let fields =
            vec![Field::new("k", DataType::Int64, true), Field::new("n", DataType::Int64, true).with_metadata(stated)];
        let of_all: HashMap<String, String> = of_all.map(|(k, v)| (format!("sekisho.{k}"), v.to_owned())).into();
        let schema = Arc::new(Schema::new(fields).with_metadata(of_all));
        let columns = [keys, noised].map(|values| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into()).unwrap();
        Ok(Answer { schema, batches: vec![batch] })
    }

    #[test]
    fn noise_and_receipts_may_differ_and_nothing_else() {
        let said = [("receipt", "7"), ("epsilon_spent", "1")];
        let one = seen(&answer(&[1, 2], &[10, 20], "1", said), false);
        assert_eq!(one, seen(&answer(&[1, 2], &[11, -3], "1", [("receipt", "8"), ("epsilon_spent", "1")]), false));
        for (other, why) in [
            (answer(&[1, 3], &[10, 20], "1", said), "a key"),
            (answer(&[1], &[10], "1", said), "a group"),
            (answer(&[1, 2], &[10, 20], "1.5", said), "a scale"),
            (answer(&[1, 2], &[10, 20], "1", [("receipt", "7"), ("epsilon_spent", "1.1")]), "a price"),
            (answer(&[1, 2], &[10, 20], "1", [("took", "7"), ("epsilon_spent", "1")]), "a new fact"),
        ] {
            assert_ne!(one, seen(&other, false), "{why}");
        }
        let refused = |message: &str| Err(ClientFault::Refused { code: "failed".into(), message: message.into() });
        assert_eq!(seen(&refused("entry 17"), false), seen(&refused("entry 18"), false));
        assert_ne!(seen(&refused("division by zero"), false), seen(&refused("overflow"), false));
        assert_ne!(one, seen(&refused("entry 17"), false));
    }

    #[test]
    fn what_an_answer_states_of_its_noise_is_read() {
        let answer = answer(&[1], &[10], "2.5", [("receipt", "7"), ("epsilon_spent", "0.5")]).unwrap();
        assert_eq!(answer.noise("n"), Some(Noise::Laplace(2.5)));
        assert_eq!(answer.noise("k"), None);
        assert!((answer.cost() - 0.5).abs() < f64::EPSILON);
        assert_eq!(answer.numbers("n"), [Some(10.0)]);
    }
}
