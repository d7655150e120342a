//! Which questions over OMOP tables are typed, and which are refused with which word?
//!
//! Each question is admitted, analysed and planned on empty tables: what it means is the oracles' matter, that it passes
//! at all is the matter here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bounds;
pub(crate) mod forms;
mod hostile;
mod positions;
pub(crate) mod shapes;

use sekisho::{
    privacy::{Analysis, Asked, Bounds, Kind, Offer, analyze},
    sql::{Call, Limits, Parameters, admit, parse},
    terms::{Cap, Loss, Refusal},
};

use self::shapes::Shapes;

impl Shapes {
    fn typed(&self, sql: &str) -> Result<Analysis, Refusal> {
        let limits = Limits::default();
        let Call::Ask(statement) = parse(sql, &limits)? else { panic!("{sql}: not a question") };
        let today = chrono::NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        let question = admit(*statement, &self.directory, today, Parameters::Bound(vec![]), &limits)?;
        let bounds = Bounds { work_rows_max: 65_536, cells_max: 100_000, population_max: 100_000 };
        analyze(&question, &Asked::default(), &bounds)
    }

    /// `answered`, the code of the refusal with its text, or `unplanned`.
    async fn verdict(&self, sql: &str) -> String {
        match self.typed(sql) {
            Err(refusal) => format!("{}: {refusal}", refusal.code()),
            Ok(analysis) => match self.engine.rehearse(&analysis, self.tables.as_ref()).await {
                Ok(()) => "answered".into(),
                Err(fault) => format!("unplanned: {fault:?}"),
            },
        }
    }
}

#[tokio::test]
async fn the_forms_of_sql_that_epidemiologists_write_are_typed() {
    let shapes = Shapes::omop();
    let mut wrong = vec![];
    for sql in forms::ANSWERED {
        let verdict = shapes.verdict(sql).await;
        if verdict != "answered" {
            wrong.push(format!("{verdict}\n    {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), forms::ANSWERED.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_would_mix_persons_or_show_one_is_refused_with_its_word() {
    let shapes = Shapes::omop();
    let mut wrong = vec![];
    for (code, sql) in forms::REFUSED {
        let verdict = shapes.verdict(sql).await;
        if !verdict.starts_with(&format!("{code}:")) {
            wrong.push(format!("{verdict}\n    {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), forms::REFUSED.len(), wrong.join("\n"));
}

#[test]
fn a_first_row_per_person_and_its_columns_are_known_to_be_one_per_person() {
    let shapes = Shapes::omop();
    let first = "SELECT condition_concept_id, COUNT(*) FROM (SELECT person_id, condition_concept_id, \
                 row_number() OVER (PARTITION BY person_id ORDER BY condition_start_date) AS rn \
                 FROM condition_occurrence) AS c WHERE rn = 1 GROUP BY 1";
    let analysis = shapes.typed(first).unwrap();
    assert_eq!((analysis.releases()[0].groups_max, analysis.releases()[0].rows_per_group), (1, 1));
}

#[test]
fn whoever_is_grouped_by_the_keys_alone_counts_once_in_each_group() {
    let shapes = Shapes::omop();
    let rows = |sql: &str| shapes.typed(sql).unwrap().releases()[0].rows_per_group;
    for once in [
        "SELECT condition_concept_id, COUNT(*) FROM (SELECT person_id, condition_concept_id, MIN(condition_start_date) AS d \
         FROM condition_occurrence GROUP BY 1, 2) AS f GROUP BY 1",
        "SELECT c, COUNT(*) FROM (SELECT DISTINCT person_id, condition_concept_id AS c FROM condition_occurrence) AS f GROUP BY 1",
        "SELECT y, c, COUNT(*) FROM (SELECT person_id, condition_concept_id AS c, YEAR(condition_start_date) AS y \
         FROM condition_occurrence GROUP BY 1, 2, 3) AS f WHERE c > 0 GROUP BY c, y",
    ] {
        assert_eq!(rows(once), 1, "{once}");
    }
    for more in [
        "SELECT condition_concept_id, COUNT(*) FROM condition_occurrence GROUP BY 1",
        "SELECT c, COUNT(*) FROM (SELECT DISTINCT person_id, condition_concept_id AS c, condition_start_date \
         FROM condition_occurrence) AS f GROUP BY 1",
        "SELECT f.c, COUNT(*) FROM (SELECT DISTINCT person_id, condition_concept_id AS c FROM condition_occurrence) AS f \
         JOIN visit_occurrence AS v ON v.person_id = f.person_id GROUP BY 1",
    ] {
        assert!(rows(more) > 1, "{more}");
    }
}

#[test]
fn the_selecting_count_serves_no_count_of_some_persons_alone() {
    let shapes = Shapes::omop();
    let mechanisms = |counted: &str| {
        let sql =
            format!("SELECT condition_concept_id, COUNT(DISTINCT {counted}) FROM condition_occurrence GROUP BY 1");
        let cap = Cap::new(8.0, 1e-6).unwrap();
        let offer = Offer { epsilon: 0.5, accuracy: None, cap, spent: Loss::zero() };
        shapes.typed(&sql).unwrap().price(&offer).unwrap().priced().mechanisms.len()
    };
    assert_eq!(mechanisms("person_id"), 1);
    assert_eq!(mechanisms("CASE WHEN condition_end_date IS NULL THEN person_id END"), 2);
}

#[test]
fn what_is_one_value_in_two_spellings_is_drawn_once() {
    let shapes = Shapes::omop();
    for (sql, partials) in [
        ("SELECT AVG(year_of_birth), AVG(year_of_birth::numeric) FROM person", 2),
        (
            "SELECT AVG(value_as_number), AVG(value_as_number::float), COUNT(*), COUNT(1) FROM measurement \
          WHERE value_as_number BETWEEN 0 AND 200",
            2,
        ),
        ("SELECT COUNT(DISTINCT (person_id, visit_start_date)) FROM visit_occurrence", 1),
        (
            "WITH t AS (SELECT COUNT(*) AS n FROM death) SELECT gender_concept_id, COUNT(*), MAX(t.n), MIN(t.n + 1) \
          FROM person CROSS JOIN t GROUP BY 1",
            1,
        ),
    ] {
        let analysis = shapes.typed(sql).unwrap();
        assert_eq!(analysis.releases().last().unwrap().partials.len(), partials, "{sql}");
    }
}

#[test]
fn a_person_adds_no_more_combinations_than_different_values() {
    let shapes = Shapes::omop();
    let most = |counted: &str| {
        let analysis = shapes.typed(&format!("SELECT COUNT(DISTINCT {counted}) FROM visit_occurrence")).unwrap();
        match &analysis.releases()[0].partials[0].kind {
            Kind::Values { most, .. } => *most,
            other => panic!("{other:?}"),
        }
    };
    let of_one = most("visit_start_date");
    for combined in ["(person_id, visit_start_date)", "(visit_occurrence_id, visit_start_date)", "ROW(person_id, 1)"] {
        assert_eq!(most(combined), of_one, "{combined}");
    }
}

#[test]
fn a_with_that_is_read_twice_is_released_once() {
    let shapes = Shapes::omop();
    let twice = "WITH n AS (SELECT COUNT(*) AS n FROM person) SELECT a.n, b.n FROM n AS a CROSS JOIN n AS b";
    assert_eq!(shapes.typed(twice).unwrap().releases().len(), 1);
}

#[test]
fn what_reads_a_release_comes_a_stage_later() {
    let shapes = Shapes::omop();
    let staged = "SELECT COUNT(*) FROM person WHERE year_of_birth > (SELECT AVG(year_of_birth) FROM person)";
    assert_eq!(shapes.typed(staged).unwrap().stages(), vec![0..1, 1..2]);
    let beside = "SELECT (SELECT COUNT(*) FROM person) * 1.0 / (SELECT COUNT(*) FROM death) AS r";
    assert_eq!(shapes.typed(beside).unwrap().stages(), vec![0..2]);
}

/// However often a WITH is read, what its windows say of all persons is drawn once.
#[test]
fn a_window_over_all_persons_is_released_once() {
    let shapes = Shapes::omop();
    let with = "WITH z AS (SELECT year_of_birth - AVG(year_of_birth) OVER () AS d, STDDEV(year_of_birth) OVER () AS s FROM person)";
    let once = shapes.typed(&format!("{with} SELECT COUNT(*) AS n FROM z WHERE d > s")).unwrap();
    let twice = "SELECT (SELECT COUNT(*) FROM z WHERE d > s) AS a, (SELECT COUNT(*) FROM z WHERE d > 2 * s) AS b";
    let twice = shapes.typed(&format!("{with} {twice}")).unwrap();
    assert_eq!((once.releases().len(), twice.releases().len()), (2, 3));
}
