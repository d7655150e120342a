//! Do half-widths survive what is done with released values, and is all else as it was?

use datafusion::common::ScalarValue;

use super::house::{Answer, Asker, House};

/// Two releases by sex, of which the second has no key that is missing in the first.
const PERSONS: &str = "(SELECT gender_concept_id AS sex, COUNT(*) AS n, AVG(year_of_birth) AS born
    FROM demo.person GROUP BY 1)";
const VISITS: &str = "(SELECT p.gender_concept_id AS sex, COUNT(*) AS v FROM demo.person p
    JOIN demo.visit_occurrence o ON o.person_id = p.person_id GROUP BY 1)";
/// A public table by sex, which lacks some.
const SIZES: &str = "(VALUES (8507, 1000.0), (8532, 2000.0), (1, 3000.0)) AS s(sex, size)";

/// One row of an answer with intervals.
struct Row<'a> {
    answer: &'a Answer,
    row: usize,
}

impl Row<'_> {
    fn value(&self, column: &str) -> f64 {
        self.maybe(column).unwrap_or(f64::NAN)
    }

    fn maybe(&self, column: &str) -> Option<f64> {
        self.answer.numbers(column)[self.row]
    }

    fn half(&self, column: &str) -> Option<f64> {
        let (low, high) = (self.maybe(&format!("{column}_lo")), self.maybe(&format!("{column}_hi")));
        low.zip(high).map(|(low, high)| (high - low) / 2.0)
    }

    /// The half-width of a column that has one.
    fn width(&self, column: &str) -> f64 {
        self.half(column).unwrap_or(f64::NAN)
    }
}

fn expanded(sql: &str) -> String {
    sql.replace("{persons}", PERSONS).replace("{visits}", VISITS).replace("{sizes}", SIZES)
}

async fn asker(house: &House) -> Asker {
    let asker = house.asker("hanako", "P-WIDE").await;
    asker.set("intervals", "on").await;
    asker
}

/// On each row `x` is as wide as `expected` says.
async fn wide(asker: &Asker, sql: &str, expected: impl Fn(&Row<'_>) -> Option<f64>) {
    let answer = asker.ask(&expanded(sql)).await;
    assert!(answer.names().contains(&"x_lo".to_owned()), "{sql}: x has no interval: {:?}", answer.names());
    let rows = answer.rows().len();
    assert!(rows > 0, "{sql}: no row");
    for row in 0..rows {
        let row = Row { answer: &answer, row };
        // A quotient by zero has neither value nor interval.
        let (found, expected) = (row.half("x"), row.maybe("x").and_then(|_| expected(&row)));
        let same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(same, "{sql}: ± {found:?}, expected {expected:?}: {:?} {:?}", answer.names(), answer.rows());
    }
}

/// `x` has no interval at all.
async fn unclaimed(asker: &Asker, sql: &str) {
    let answer = asker.ask(&expanded(sql)).await;
    assert!(!answer.names().contains(&"x_lo".to_owned()), "{sql}: {:?}", answer.names());
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_releases_keep_their_half_widths() {
    let house = House::new().await;
    let asker = asker(&house).await;
    for join in
        ["JOIN {visits} b USING (sex)", "LEFT JOIN {visits} b ON b.sex = a.sex", "FULL JOIN {visits} b USING (sex)"]
    {
        let sql = format!("SELECT a.n, b.v, 1.0 * b.v / a.n AS x FROM {{persons}} a {join} ORDER BY a.n");
        wide(&asker, &sql, |r| Some((r.width("v") + r.value("x").abs() * r.width("n")) / r.value("n").abs())).await;
        let answer = asker.ask(&expanded(&sql)).await;
        for row in 0..answer.rows().len() {
            let row = Row { answer: &answer, row };
            assert!((row.width("n") - answer.half_width("n")).abs() < 1e-9, "passed on as it was drawn");
            assert!((row.width("v") - answer.half_width("v")).abs() < 1e-9);
        }
    }
    let product = "SELECT a.n, b.v, a.n * b.v AS x FROM {persons} a JOIN {visits} b USING (sex)";
    wide(&asker, product, |r| {
        let (n, v) = (r.width("n"), r.width("v"));
        Some(r.value("n").abs() * v + r.value("v").abs() * n + n * v)
    })
    .await;
    let crossed = "SELECT n, total, 100.0 * n / total AS x FROM {persons} a
                   CROSS JOIN (SELECT COUNT(*) AS total FROM demo.person) t";
    wide(&asker, crossed, |r| {
        Some((100.0 * r.width("n") + r.value("x").abs() * r.width("total")) / r.value("total").abs())
    })
    .await;
    let asked = "SELECT n, n - (SELECT COUNT(*) FROM demo.death) AS x, (SELECT COUNT(*) FROM demo.death) AS d
                 FROM {persons} a";
    wide(&asker, asked, |r| Some(r.width("n") + r.width("d"))).await;
    let semi = "SELECT n, n AS x FROM {persons} a WHERE sex IN (SELECT sex FROM {visits} b WHERE v > 0)";
    wide(&asker, semi, |r| Some(r.width("n"))).await;
    // Two columns of one name have an interval each.
    let answer = asker.ask(&expanded("SELECT a.n, b.n FROM {persons} a JOIN {persons} b USING (sex)")).await;
    assert_eq!(answer.names(), ["n", "n_lo", "n_hi", "n", "n_lo", "n_hi"]);
    // Who names a column so has it.
    let answer = asker.ask(&expanded("SELECT n, born AS n_lo FROM {persons} a")).await;
    assert_eq!(answer.names(), ["n", "n_lo", "n_lo_lo", "n_lo_hi"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_columns_are_exact_and_what_is_missing_is_unknown() {
    let house = House::new().await;
    let asker = asker(&house).await;
    let rate = "SELECT a.sex, n, size, 1000 * n / size AS x FROM {persons} a JOIN {sizes} USING (sex)";
    wide(&asker, rate, |r| Some(1000.0 * r.width("n") / r.value("size"))).await;
    let outer = "SELECT s.sex, n, n + size AS x FROM {sizes} LEFT JOIN {persons} a ON a.sex = s.sex";
    wide(&asker, outer, |r| r.half("n")).await;
    let answer = asker.ask(&expanded(&outer.replace("n + size", "COALESCE(n, 0)"))).await;
    let rows: Vec<Row<'_>> = (0..answer.rows().len()).map(|row| Row { answer: &answer, row }).collect();
    assert!(rows.iter().any(|r| r.maybe("n").is_none() && r.value("x") == 0.0 && r.half("x").is_none()));
    assert!(rows.iter().filter(|r| r.maybe("n").is_some()).all(|r| r.half("x") == r.half("n")));
    let keys = "SELECT n, sex + n AS x FROM {persons} a";
    wide(&asker, keys, |r| Some(r.width("n"))).await;
    let share = "SELECT SUM(n) AS n, SUM(size) AS size, SUM(n) / SUM(size) AS x
                 FROM {persons} a JOIN {sizes} USING (sex)";
    wide(&asker, share, |r| Some(r.width("n") / r.value("size"))).await;
    // What a function made of noise is not exact.
    unclaimed(&asker, "SELECT n + sin(n) AS x FROM {persons} a").await;
    unclaimed(&asker, "SELECT n + CASE WHEN n > 10 THEN 1 ELSE 0 END AS x FROM {persons} a").await;
    unclaimed(&asker, "SELECT sex AS x FROM {persons} a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stacked_releases_keep_their_half_widths() {
    let house = House::new().await;
    let asker = asker(&house).await;
    let stacked = "SELECT 'n' AS what, n AS x FROM {persons} a UNION ALL SELECT 'born', born FROM {persons} a
                   UNION ALL SELECT 'fixed', 5.0";
    let alone = asker.ask(&expanded("SELECT n, born FROM {persons} a ORDER BY sex")).await;
    let widths = |column: &str| {
        let rows = 0..alone.rows().len();
        let mut all: Vec<Option<f64>> = rows.map(|row| Row { answer: &alone, row }.half(column)).collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    };
    for set in ["UNION ALL", "UNION"] {
        let answer = asker.ask(&expanded(&stacked.replace("UNION ALL", set))).await;
        assert_eq!(answer.names(), ["what", "x", "x_lo", "x_hi"]);
        let of = |what: &str| {
            let rows = answer.rows().into_iter().enumerate().filter(|(_, row)| row[0].to_string() == what);
            let mut all: Vec<Option<f64>> = rows.map(|(row, _)| Row { answer: &answer, row }.half("x")).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all
        };
        let near = |a: &[Option<f64>], b: &[Option<f64>]| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                    (a, b) => a == b,
                })
        };
        if set == "UNION ALL" {
            assert!(near(&of("n"), &widths("n")), "{:?} {:?}", of("n"), widths("n"));
            assert!(near(&of("born"), &widths("born")), "{:?} {:?}", of("born"), widths("born"));
        }
        assert_eq!(of("fixed"), [Some(0.0)]);
    }
    let sets = "SELECT gender_concept_id AS sex, COUNT(*) AS x FROM demo.person GROUP BY ROLLUP (gender_concept_id)";
    let answer = asker.ask(sets).await;
    let halves: Vec<Option<f64>> = (0..answer.rows().len()).map(|row| Row { answer: &answer, row }.half("x")).collect();
    assert!(halves.iter().all(|half| half.is_some_and(|half| half > 0.0)), "{halves:?}");
    let distinct = "SELECT DISTINCT n, n AS x FROM {persons} a";
    wide(&asker, distinct, |r| Some(r.width("n"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_choices_are_as_wide_as_what_they_may_do_to_a_value() {
    let house = House::new().await;
    let asker = asker(&house).await;
    let own = |r: &Row<'_>| Some(r.width("n"));
    for same in [
        "COALESCE(n, 0)",
        "NULLIF(n, -1)",
        "ABS(n)",
        "-n",
        "GREATEST(n, 0)",
        "LEAST(n, 1000000)",
        "CAST(n AS DOUBLE)",
        "n + sex",
        "CASE WHEN sex >= 0 THEN n ELSE 0 END",
        "CASE WHEN n > -1000000 THEN n ELSE 0 END",
    ] {
        wide(&asker, &format!("SELECT n, {same} AS x FROM {{persons}} a"), own).await;
    }
    let chosen = "SELECT n, sex, CASE WHEN sex = 8507 THEN n ELSE 0 END AS x FROM {persons} a";
    wide(&asker, chosen, |r| Some(if r.value("sex") == 8507.0 { r.width("n") } else { 0.0 })).await;
    // Who was put to zero for being small may be anything small.
    let hidden = "SELECT n, CASE WHEN n < 100 THEN 0 ELSE n END AS x FROM {persons} a";
    wide(&asker, hidden, |r| (r.value("n") >= 100.0).then(|| r.width("n"))).await;
    let two = "SELECT a.n, b.v, GREATEST(a.n, b.v) AS x FROM {persons} a JOIN {visits} b USING (sex)";
    wide(&asker, two, |r| Some(r.width("n").max(r.width("v")))).await;
    type Step = fn(f64) -> f64;
    let steps: [(&str, Step); 6] = [
        ("ROUND(born)", f64::round),
        ("ROUND(born, 1)", |x| (x * 10.0).round() / 10.0),
        ("CEIL(born)", f64::ceil),
        ("FLOOR(born)", f64::floor),
        ("TRUNC(born)", f64::trunc),
        ("CAST(born AS BIGINT)", f64::round),
    ];
    for (written, step) in steps {
        wide(&asker, &format!("SELECT born, {written} AS x FROM {{persons}} a"), |r| {
            let (born, width) = (r.maybe("born")?, r.half("born")?);
            Some((step(born + width) - step(born)).max(step(born) - step(born - width)))
        })
        .await;
    }
    // A picked value is off by ranks alone.
    let picked = "SELECT MEDIAN(year_of_birth) + COUNT(*) AS x FROM demo.person";
    wide(&asker, picked, |_| None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_aggregates_above_a_release_add_up_what_they_read() {
    let house = House::new().await;
    let asker = asker(&house).await;
    let from = "FROM {persons} a WHERE n > 100 ORDER BY sex";
    let alone = asker.ask(&expanded(&format!("SELECT sex, n, born {from}"))).await;
    let rows: Vec<Row<'_>> = (0..alone.rows().len()).map(|row| Row { answer: &alone, row }).collect();
    let all: f64 = rows.iter().map(|r| r.width("n")).sum();
    let mean = rows.iter().map(|r| r.width("born")).sum::<f64>() / rows.len() as f64;
    let widest = rows.iter().map(|r| r.width("born")).fold(0.0, f64::max);
    assert!(rows.len() > 1 && rows[0].width("born") > 0.0);

    wide(&asker, &format!("SELECT n, SUM(n) OVER () AS x {from}"), |_| Some(all)).await;
    let share = format!("SELECT n, SUM(n) OVER () AS total, 100.0 * n / SUM(n) OVER () AS x {from}");
    wide(&asker, &share, |r| Some((100.0 * r.width("n") + r.value("x") * all) / r.value("total"))).await;
    wide(&asker, &format!("SELECT SUM(n) OVER (PARTITION BY sex) AS x, n {from}"), |r| Some(r.width("n"))).await;
    let before = format!("SELECT sex, n, LAG(n) OVER (ORDER BY sex) AS x {from}");
    let answer = asker.ask(&expanded(&before)).await;
    for (row, before) in (1..rows.len()).zip(&rows) {
        assert_eq!(Row { answer: &answer, row }.half("x"), before.half("n"));
    }
    // What stands in for a row that is not there is no value of a release.
    wide(&asker, &before.replace("LAG(n)", "LAG(n, 1000, 0)"), |_| None).await;
    wide(&asker, &format!("SELECT MAX(born) OVER () AS x, MIN(born) OVER () AS y {from}"), |r| {
        assert!((r.width("y") - widest).abs() < 1e-9);
        Some(widest)
    })
    .await;
    unclaimed(&asker, &format!("SELECT RANK() OVER (ORDER BY n) AS x {from}")).await;

    let above = "FROM (SELECT * FROM {persons} a WHERE n > 100) q";
    wide(&asker, &format!("SELECT SUM(n) AS x {above}"), |_| Some(all)).await;
    wide(&asker, &format!("SELECT AVG(born) AS x {above}"), |_| Some(mean)).await;
    wide(&asker, &format!("SELECT MAX(born) AS x, MIN(born) AS y {above}"), |r| {
        assert!((r.width("y") - widest).abs() < 1e-9);
        Some(widest)
    })
    .await;
    wide(&asker, &format!("SELECT SUM(n) / COUNT(*) + 0.0 AS x {above}"), |r| r.half("x")).await;
    wide(&asker, &format!("SELECT n > 0 AS some, SUM(n) AS x {above} GROUP BY 1"), |_| Some(all)).await;
    unclaimed(&asker, &format!("SELECT STDDEV(n) AS x {above}")).await;
    unclaimed(&asker, &format!("SELECT SUM(DISTINCT n) AS x {above}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_intervals_an_answer_is_the_one_that_has_none() {
    let house = House::new().await;
    let asker = house.asker("hanako", "P-WIDE").await;
    for sql in [
        "SELECT * FROM {persons} a JOIN {visits} b USING (sex)",
        "SELECT a.sex, b.sex, a.n, b.n FROM {persons} a FULL JOIN {persons} b ON a.n < b.n",
        "SELECT * FROM {persons} a RIGHT JOIN {sizes} ON a.sex = s.sex",
        "SELECT * FROM {sizes} LEFT JOIN {persons} a USING (sex)",
        "SELECT * FROM {persons} a CROSS JOIN {visits} b ORDER BY n, v LIMIT 3",
        "SELECT sex, n FROM {persons} a WHERE n > ALL (SELECT v FROM {visits} b WHERE v < 0)",
        "SELECT sex, n FROM {persons} a WHERE NOT EXISTS (SELECT 1 FROM {visits} b WHERE b.v < a.n)",
        "SELECT sex, n - (SELECT MAX(v) FROM {visits} b) AS d FROM {persons} a",
        "SELECT sex, (SELECT MAX(v) FROM {visits} b WHERE b.sex = a.sex) AS d FROM {persons} a",
        "SELECT sex, n FROM {persons} a UNION ALL SELECT sex, v FROM {visits} b UNION ALL SELECT 1, NULL",
        "SELECT sex, n FROM {persons} a UNION SELECT sex, v + 0.5 FROM {visits} b",
        "SELECT n FROM {persons} a INTERSECT SELECT n FROM {persons} b",
        "SELECT n FROM {persons} a EXCEPT SELECT v FROM {visits} b",
        "SELECT DISTINCT n > 100, CASE WHEN sex > 0 THEN 1 END FROM {persons} a",
        "SELECT DISTINCT n / 1000, born FROM {persons} a LIMIT 2",
        "SELECT DISTINCT ON (n > 100) sex, n FROM {persons} a ORDER BY n > 100, n DESC",
        "SELECT sex, n, SUM(n) OVER (ORDER BY sex), ROW_NUMBER() OVER (ORDER BY n DESC) FROM {persons} a",
        "SELECT sex, LAG(n, 1, 0) OVER (ORDER BY n) AS l, FIRST_VALUE(n) OVER (ORDER BY sex) AS f,
            AVG(n) OVER (ORDER BY sex ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS m FROM {persons} a",
        "SELECT sex, n FROM {persons} a QUALIFY RANK() OVER (ORDER BY n DESC) <= 2",
        "SELECT sex > 8507 AS s, SUM(n) AS n, COUNT(*) AS c, AVG(born) AS b FROM {persons} a GROUP BY 1",
        "SELECT n, COUNT(*) AS c FROM {persons} a GROUP BY n HAVING COUNT(*) < 10 ORDER BY c, n",
        "SELECT sex, SUM(n) AS n, GROUPING(sex) AS g FROM {persons} a GROUP BY ROLLUP (sex)",
        "SELECT gender_concept_id, race_concept_id, COUNT(*) AS n FROM demo.person GROUP BY CUBE (gender_concept_id, race_concept_id)",
        "WITH a AS {persons} SELECT x.sex, x.n, y.n AS m FROM a x JOIN a y ON x.sex <> y.sex WHERE x.n > y.n",
        "SELECT sex, ROUND(born, 1) AS r, COALESCE(NULLIF(n, 0), 1) AS c, n / NULLIF(n - n, 0) AS none,
            GREATEST(n, born, 0) AS g, CASE sex WHEN 8507 THEN n ELSE born END AS k FROM {persons} a",
        "SELECT MIN(visit_start_date) AS first, MAX(visit_start_date) AS last,
            COALESCE(MAX(visit_start_date), DATE '2000-01-01') AS there FROM demo.visit_occurrence",
        "SELECT q.sex, q.m FROM (SELECT a.sex, MAX(n) AS m FROM {persons} a JOIN {sizes} ON s.sex = a.sex
            GROUP BY a.sex) q LEFT JOIN {visits} b USING (sex) ORDER BY q.m",
    ] {
        let sql = expanded(sql);
        asker.set("intervals", "off").await;
        let plain = asker.ask(&sql).await;
        asker.set("intervals", "on").await;
        let wide = asker.ask(&sql).await;
        assert!(wide.kept(), "{sql}: the same draws");
        let own: Vec<bool> = wide.names().iter().map(|n| !(n.ends_with("_lo") || n.ends_with("_hi"))).collect();
        let schema = |answer: &Answer, own: &[bool]| {
            let fields = answer.0.schema.fields().iter().zip(own).filter(|(_, own)| **own);
            fields.map(|(f, _)| (f.name().clone(), f.data_type().clone(), f.metadata().clone())).collect::<Vec<_>>()
        };
        assert_eq!(schema(&wide, &own), schema(&plain, &vec![true; plain.names().len()]), "{sql}");
        let mut rows = wide.rows();
        for row in &mut rows {
            let mut own = own.iter();
            row.retain(|_| own.next().is_some_and(|own| *own));
        }
        let mut expected = plain.rows();
        // The engine stacks what is ready first.
        if sql.contains("UNION") || sql.contains("CUBE") {
            rows.sort_by_key(|row| format!("{row:?}"));
            expected.sort_by_key(|row| format!("{row:?}"));
        }
        assert_eq!(rows, expected, "{sql}");
        let finite = |value: &ScalarValue| !matches!(value, ScalarValue::Float64(Some(number)) if !number.is_finite());
        assert!(wide.rows().iter().flatten().all(finite), "{sql}: {:?}", wide.rows());
    }
}
