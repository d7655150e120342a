//! What is the exact answer, by a plain engine over the files as the generator wrote them?

use std::path::Path;

use datafusion::{
    common::ScalarValue,
    prelude::{ParquetReadOptions, SessionContext},
};

use super::house::{ground, number, rows};

/// Plain SQL over the synthetic persons; every table under its own name.
pub async fn truth(sql: &str) -> Vec<Vec<ScalarValue>> {
    truth_of(ground().source(), sql).await
}

/// Plain SQL over the Parquet files in a folder, and the concepts of a vocabulary in it.
pub async fn truth_of(source: &Path, sql: &str) -> Vec<Vec<ScalarValue>> {
    let context = SessionContext::new();
    for file in std::fs::read_dir(source).unwrap().flatten() {
        let path = file.path();
        if path.extension().is_some_and(|e| e == "parquet") {
            let table = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let options = ParquetReadOptions::default();
            context.register_parquet(table, path.to_str().unwrap(), options).await.unwrap();
        }
    }
    let concepts = source.join(sekisho::synth::VOCABULARY).join("concept.parquet");
    if concepts.exists() {
        let options = ParquetReadOptions::default();
        context.register_parquet("concept", concepts.to_str().unwrap(), options).await.unwrap();
    }
    rows(&context.sql(sql).await.unwrap().collect().await.unwrap())
}

/// The one number of a question with one row and one column.
pub async fn true_number(sql: &str) -> f64 {
    number(&truth(sql).await[0][0]).unwrap()
}
