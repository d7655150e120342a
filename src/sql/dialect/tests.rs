//! Is what other engines write understood as they mean it?

use super::*;
use crate::sql::{Call, Limits, parse};

fn spoken_text(sql: &str) -> Result<String, Refusal> {
    match parse(sql, &Limits::default()) {
        Ok(Call::Ask(statement)) => spoken(*statement).map(|statement| statement.to_string()),
        other => panic!("{other:?}"),
    }
}

fn spoken_of(expr: &str) -> String {
    spoken_text(&format!("SELECT {expr}")).expect("spoken").replacen("SELECT ", "", 1)
}

#[test]
fn what_other_engines_say_becomes_what_this_one_says() {
    for (written, meant) in [
        ("DATEDIFF(day, a, b)", "(CAST(b AS DATE) - CAST(a AS DATE))"),
        ("datediff('days', a, b)", "(CAST(b AS DATE) - CAST(a AS DATE))"),
        ("DATEDIFF(dd, a, b)", "(CAST(b AS DATE) - CAST(a AS DATE))"),
        ("datediff(a, b)", "(CAST(a AS DATE) - CAST(b AS DATE))"),
        ("DATE_DIFF(a, b, DAY)", "(CAST(a AS DATE) - CAST(b AS DATE))"),
        ("datediff(year, a, b)", "(EXTRACT(YEAR FROM b) - EXTRACT(YEAR FROM a))"),
        ("dateadd(month, -3, a)", "(a + INTERVAL '-3 month')"),
        ("dateadd(quarter, 2, a)", "(a + INTERVAL '6 month')"),
        ("DATEADD(d, n, a)", "(a + (n))"),
        ("date_sub(a, INTERVAL '1' YEAR)", "(a - INTERVAL '1' YEAR)"),
        ("date_add(a, 30)", "(a + (30))"),
        ("add_months(a, 3)", "(a + INTERVAL '3 month')"),
        ("a + 2 * INTERVAL '30 days'", "a + INTERVAL '60 days'"),
        ("a + INTERVAL '1' DAY * 14", "a + INTERVAL '14 DAY'"),
        ("a + n * INTERVAL '1 day'", "(a + (n))"),
        ("a - (n * INTERVAL '2 weeks')", "(a - (n) * 2 * 7)"),
        ("a + make_interval(days => n)", "(a + (n))"),
        ("a + (n::text || ' days')::interval", "(a + (n))"),
        ("a + n * INTERVAL '1 month'", "a + n * INTERVAL '1 month'"),
        (
            "n >= ALL (SELECT COUNT(*) FROM t GROUP BY a)",
            "(n) >= (SELECT max(__sekisho_all.v) FROM (SELECT COUNT(*) FROM t GROUP BY a) AS __sekisho_all (v))",
        ),
        (
            "n > ANY (SELECT a FROM t)",
            "(n) > (SELECT min(__sekisho_all.v) FROM (SELECT a FROM t) AS __sekisho_all (v))",
        ),
        (
            "TO_DATE(TO_CHAR(y + 1,'0000FM')||'-'||TO_CHAR(m,'00FM')||'-'||TO_CHAR(1,'00FM'), 'YYYY-MM-DD')",
            "make_date(CAST(y + 1 AS INT), CAST(m AS INT), CAST(1 AS INT))",
        ),
        ("CAST(v.visit_occurrence_id AS BIGINT)", "v.visit_occurrence_id"),
        ("p.person_id <> 0", "(p.person_id IS NOT NULL)"),
        ("person_id <> 1", "person_id <> 1"),
        ("n <> ALL (SELECT a FROM t)", "(n) NOT IN (SELECT a FROM t)"),
        ("AGE(a, b) >= INTERVAL '18 years'", "(a >= (b + INTERVAL '18 years'))"),
        ("(a - b) < INTERVAL '30' DAY", "(a < (b + INTERVAL '30' DAY))"),
        ("YEAR(a) * 100 + MONTH(a)", "EXTRACT(YEAR FROM a) * 100 + EXTRACT(MONTH FROM a)"),
        ("DATEPART(quarter, a)", "EXTRACT(QUARTER FROM a)"),
        ("trunc(a, 'MM')", "CAST(date_trunc('month', a) AS DATE)"),
        ("to_char(a, 'YYYY-MM-DD HH24:MI')", "to_char(a, '%Y-%m-%d %H:%M')"),
        ("to_date(a, 'yyyymmdd')", "to_date(a, '%Y%m%d')"),
        ("COUNT_BIG(DISTINCT a)", "count(DISTINCT a)"),
        ("STDEV(a) OVER (PARTITION BY b)", "stddev(a) OVER (PARTITION BY b)"),
        ("iif(a > 1, b, c)", "CASE WHEN a > 1 THEN b ELSE c END"),
        ("charindex('x', a)", "strpos(a, 'x')"),
        ("mod(a, 2)", "((a) % (2))"),
        ("a::numeric", "CAST(a AS DOUBLE PRECISION)"),
        ("CAST(a AS DECIMAL(10, 2))", "round(CAST(a AS DOUBLE PRECISION), 2)"),
        ("CAST(a AS FLOAT)", "CAST(a AS DOUBLE PRECISION)"),
        ("COUNT(DISTINCT (a, b + 1))", "COUNT(DISTINCT struct(a, b + 1))"),
        ("(ARRAY_AGG(a ORDER BY b DESC, c))[1]", "first_value(a ORDER BY b DESC, c)"),
        ("(array_agg(a ORDER BY b) FILTER (WHERE c))[1]", "first_value(a ORDER BY b) FILTER (WHERE c)"),
        ("IFF(a, b, c)", "CASE WHEN a THEN b ELSE c END"),
        ("COUNT_IF(a > 1)", "count(CASE WHEN a > 1 THEN 1 END)"),
        ("countif(a) OVER (PARTITION BY b)", "count(CASE WHEN a THEN 1 END) OVER (PARTITION BY b)"),
        ("max_by(a, b)", "first_value(a ORDER BY b DESC) FILTER (WHERE b IS NOT NULL)"),
        ("percentile_approx(a, 0.5)", "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)"),
        ("LISTAGG(a, '>') WITHIN GROUP (ORDER BY b DESC)", "string_agg(a, '>' ORDER BY b DESC)"),
        (
            "string_agg(a, '>') WITHIN GROUP (ORDER BY b) FILTER (WHERE c)",
            "string_agg(a, '>' ORDER BY b) FILTER (WHERE c)",
        ),
        ("array_to_string(array_agg(a ORDER BY b), '-')", "string_agg(a, '-' ORDER BY b)"),
        ("EVERY(a)", "bool_and(a)"),
        ("DIV0(a, b)", "CASE WHEN (b) = 0 AND (a) IS NOT NULL THEN 0 ELSE CAST(a AS DOUBLE PRECISION) / (b) END"),
        ("DATE_TRUNC(a, QUARTER)", "CAST(date_trunc('quarter', a) AS DATE)"),
        ("datetrunc(month, a)", "CAST(date_trunc('month', a) AS DATE)"),
        ("DATEADD(month, 1, '20240131')", "(DATE '2024-01-31' + INTERVAL '1 month')"),
        ("DATEDIFF(day, '20240101', a)", "(CAST(a AS DATE) - CAST(DATE '2024-01-01' AS DATE))"),
        (
            "DATEDIFF(week, a, b)",
            "((CAST(date_trunc('week', CAST(b AS DATE) + 1) AS DATE) - CAST(date_trunc('week', CAST(a AS DATE) + 1) AS \
             DATE)) / 7)",
        ),
        ("CONVERT(date, a)", "CAST(a AS DATE)"),
        ("CONVERT(varchar(7), a, 120)", "left(CAST(a AS VARCHAR), 7)"),
        ("a + '30 days'::interval", "a + INTERVAL '30 days'"),
        ("date_format(a, 'yyyy-MM')", "to_char(a, '%Y-%m')"),
        ("FORMAT(a, 'dd.MM.yyyy')", "to_char(a, '%d.%m.%Y')"),
        ("date_bin('14 days', a, b)", "date_bin(INTERVAL '14 days', a, b)"),
        ("log(10, a)", "log10(a)"),
        ("a LIKE '50!%!_!!x\\y%' ESCAPE '!'", "(a) LIKE '50\\%\\_!x\\\\y%'"),
        ("a SIMILAR TO '%(b|c.)_'", "(a) ~ '(?s)^(.*(b|c\\.).)$'"),
        ("a NOT SIMILAR TO '[%_]\\%'", "(a) !~ '(?s)^([%_]\\%)$'"),
        ("date_trunc('quarter', d)", "date_trunc('quarter', d)"),
        ("DATE_TRUNC(a, WEEK)", "(CAST(date_trunc('week', CAST(a AS DATE) + 1) AS DATE) - 1)"),
        ("DATE_TRUNC(a, ISOWEEK)", "CAST(date_trunc('week', a) AS DATE)"),
        ("EXTRACT(ISOWEEK FROM a)", "EXTRACT(WEEK FROM a)"),
        ("to_char(a, 'YYYY\"-Q\"Q')", "(to_char(a, '%Y-Q') || CAST(EXTRACT(QUARTER FROM a) AS VARCHAR))"),
        ("to_char(a, 'ID')", "to_char(a, '%u')"),
        ("to_char(a, 'D')", "CAST(EXTRACT(DOW FROM a) + 1 AS VARCHAR)"),
        ("to_char(a, 'FMMonth YYYY')", "to_char(a, '%B %Y')"),
        ("to_char(a, 'Month')", "rpad(to_char(a, '%B'), 9, ' ')"),
        ("DATENAME(month, a)", "to_char(a, '%B')"),
        (
            "width_bucket(a, ARRAY[1, 5])",
            "CASE WHEN (a) < (1) THEN 0 WHEN (a) < (5) THEN 1 WHEN (a) IS NOT NULL THEN 2 END",
        ),
        ("RATIO_TO_REPORT(a) OVER ()", "(CAST(a AS DOUBLE PRECISION) / sum(a) OVER ())"),
        (
            "LAG(a, 1, b) OVER (ORDER BY c)",
            "CASE WHEN lag(1, 1) OVER (ORDER BY c) IS NULL THEN b ELSE lag(a, 1) OVER (ORDER BY c) END",
        ),
        ("LAG(a, 1, 0) OVER (ORDER BY c)", "LAG(a, 1, 0) OVER (ORDER BY c)"),
        ("size(collect_set(a))", "count(DISTINCT a)"),
        ("cardinality(array_agg(DISTINCT a))", "(count(DISTINCT a) + max(CASE WHEN a IS NULL THEN 1 ELSE 0 END))"),
        (
            "(percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY a))[2]",
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
        ),
        (
            "percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY a) FILTER (WHERE b)",
            "('{' || CAST(percentile_cont(0.25) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) AS VARCHAR) || ',' || \
             CAST(percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) AS VARCHAR) || '}')",
        ),
        ("APPROX_QUANTILES(a, 4)[OFFSET(1)]", "percentile_cont(0.25) WITHIN GROUP (ORDER BY a)"),
        ("a + INTERVAL '1 month - 1 day'", "a + INTERVAL '1 month -1 day'"),
        ("a COLLATE \"C\"", "a"),
        ("SYSDATE", "now()"),
        ("DATEADD(month, DATEDIFF(month, 0, a), 0)", "CAST(date_trunc('month', a) AS DATE)"),
        ("a::varchar(4)", "left(CAST(a AS VARCHAR), 4)"),
        ("a ILIKE ANY (ARRAY['b%', '%c'])", "((a) ILIKE 'b%' OR (a) ILIKE '%c')"),
        ("a = ANY ('{1, 2}'::int[])", "(a) IN (CAST('1' AS INT), CAST('2' AS INT))"),
        ("(SELECT c.n FROM c WHERE c.i = v.i)", "(SELECT max(c.n) FROM c WHERE c.i = v.i)"),
        ("(SELECT c.n FROM c WHERE c.i = 1)", "(SELECT c.n FROM c WHERE c.i = 1)"),
        ("a = ANY (ARRAY[1, 2])", "(a) IN (1, 2)"),
        ("a <> ALL (ARRAY[1, 2])", "(a) NOT IN (1, 2)"),
        ("(a, b) IN ((1, 2), (3, 4))", "(((a) = (1) AND (b) = (2)) OR ((a) = (3) AND (b) = (4)))"),
    ] {
        assert_eq!(spoken_of(written), meant, "{written}");
    }
}

#[test]
fn the_years_of_an_age_are_full_years() {
    let years = spoken_of("EXTRACT(YEAR FROM AGE(a, b))");
    assert!(years.starts_with("(CASE WHEN a >= b THEN (EXTRACT(YEAR FROM a)"), "{years}");
    assert_eq!(spoken_of("date_part('year', age(a, b))"), years);
    assert_eq!(spoken_of("year(age(a, b))"), years);
    assert_eq!(spoken_of("timestampdiff(YEAR, b, a)"), years);
    assert!(spoken_of("extract(month from age(b))").contains("% 12"));
}

#[test]
fn a_format_that_the_engine_would_show_as_it_stands_is_refused() {
    for unknown in ["a SIMILAR TO b", "a SIMILAR TO '[b'", "a LIKE 'b' ESCAPE '!!'", "a LIKE b ESCAPE '!'"] {
        let refusal = spoken_text(&format!("SELECT {unknown}")).expect_err(unknown);
        assert_eq!(refusal.code(), "function_not_allowed", "{unknown}");
    }
    for unknown in ["date_format(a, 'EEEE')", "date_format(a, '%M')", "date_format(a, b)"] {
        let refusal = spoken_text(&format!("SELECT {unknown}")).expect_err(unknown);
        assert_eq!(refusal.code(), "function_not_allowed", "{unknown}");
    }
    for unknown in ["to_char(a, 'FM999')", "to_char(a, 'Monthly')", "to_date(a, 'J')", "to_char(a, 'YYYYth')"] {
        let refusal = spoken_text(&format!("SELECT {unknown}")).expect_err(unknown);
        assert_eq!(refusal.code(), "function_not_allowed", "{unknown}");
    }
    assert_eq!(spoken_of("to_char(a, '%Y')"), "to_char(a, '%Y')");
    assert_eq!(spoken_of("to_char(a, 'Q')"), "CAST(EXTRACT(QUARTER FROM a) AS VARCHAR)");
}

#[test]
fn what_the_engine_would_read_past_is_refused() {
    let refusal = spoken_text("SELECT COUNT(*) FROM t TABLESAMPLE BERNOULLI (1)").expect_err("a sample");
    assert_eq!(refusal.code(), "function_not_allowed");
}

#[test]
fn calendars_and_lists_are_written_out() {
    for (written, meant) in [
        ("SELECT * FROM generate_series(1, 3) AS n", "SELECT * FROM (VALUES (1), (2), (3)) AS n (n)"),
        ("SELECT * FROM generate_series(5, 1, -2) AS t(y)", "SELECT * FROM (VALUES (5), (3), (1)) AS t (y)"),
        (
            "SELECT * FROM generate_series('2020-01-31'::date, DATE '2020-03-31', INTERVAL '1 month') AS m",
            "SELECT * FROM (VALUES (TIMESTAMP '2020-01-31 00:00:00'), (TIMESTAMP '2020-02-29 00:00:00'), \
             (TIMESTAMP '2020-03-29 00:00:00')) AS m (m)",
        ),
        ("SELECT x FROM unnest(ARRAY[1, 2]) AS u(x)", "SELECT x FROM (VALUES (1), (2)) AS u (x)"),
        (
            "SELECT generate_series(1, 3) AS y",
            "SELECT __sekisho_series.v AS y FROM (VALUES (1), (2), (3)) AS __sekisho_series (v)",
        ),
        (
            "SELECT a, unnest(ARRAY[1, 2]) FROM t",
            "SELECT a, __sekisho_series.v AS unnest FROM t, (VALUES (1), (2)) AS __sekisho_series (v)",
        ),
        (
            "SELECT generate_series(1, 2)::date AS y",
            "SELECT __sekisho_series.v::DATE AS y FROM (VALUES (1), (2)) AS __sekisho_series (v)",
        ),
        (
            "SELECT a FROM t CROSS APPLY (SELECT TOP 1 b FROM u WHERE u.c = t.c) x OUTER APPLY (SELECT 1) y",
            "SELECT a FROM t INNER JOIN LATERAL (SELECT b FROM u WHERE u.c = t.c LIMIT 1) x ON true LEFT JOIN LATERAL \
             (SELECT 1) y ON true",
        ),
        (
            "SELECT a, b + 1 AS c FROM t GROUP BY ROLLUP (1, 2)",
            "SELECT a, b + 1 AS c FROM t GROUP BY ROLLUP (a, b + 1)",
        ),
        ("SELECT `a` FROM `t`", "SELECT `a` FROM `t`"),
        ("SELECT a FROM t FETCH FIRST 5 ROWS ONLY", "SELECT a FROM t LIMIT 5"),
        ("SELECT TOP 10 a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a LIMIT 10"),
        ("SELECT TOP (10) a FROM t", "SELECT a FROM t LIMIT 10"),
        ("SELECT * FROM (SELECT TOP 3 a FROM t) q", "SELECT * FROM (SELECT a FROM t LIMIT 3) q"),
        ("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 3)) AS n", "SELECT n FROM (VALUES (1), (2), (3)) AS n (n)"),
        (
            "SELECT d FROM UNNEST(GENERATE_DATE_ARRAY('2020-01-01', '2020-01-02')) AS d",
            "SELECT d FROM (VALUES (TIMESTAMP '2020-01-01 00:00:00'), (TIMESTAMP '2020-01-02 00:00:00')) AS d (d)",
        ),
        (
            "SELECT y FROM t LATERAL VIEW explode(sequence(1, 2)) v AS y WHERE a < y",
            "SELECT y FROM t, (VALUES (1), (2)) AS v (y) WHERE a < y",
        ),
        (
            "WITH RECURSIVE c AS (SELECT DATE '2020-01-31' AS m UNION ALL SELECT (m + INTERVAL '1 month')::date FROM c \
             WHERE m < '2020-03-01') SELECT m FROM c",
            "WITH c AS (SELECT __sekisho_list.v AS \"m\" FROM (VALUES (DATE '2020-01-31'), (DATE '2020-02-29'), \
             (DATE '2020-03-29')) AS __sekisho_list (v)) SELECT m FROM c",
        ),
        (
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 2 FROM c WHERE n + 2 <= 5) SELECT n FROM c",
            "WITH c (n) AS (SELECT __sekisho_list.v AS \"n\" FROM (VALUES (1), (3), (5)) AS __sekisho_list (v)) \
             SELECT n FROM c",
        ),
        (
            "SELECT a.b / 10 AS c, b FROM t CROSS JOIN LATERAL (SELECT 2024 - t.y AS b) a WHERE b > 1 ORDER BY a.b",
            "SELECT (2024 - t.y) / 10 AS c, (2024 - t.y) AS b FROM t WHERE (2024 - t.y) > 1 ORDER BY (2024 - t.y)",
        ),
        (
            "SELECT COUNT(x.h) FROM t LEFT JOIN LATERAL (SELECT 1 AS h FROM u WHERE u.c = t.c LIMIT 1) x ON true",
            "SELECT COUNT(x.h) FROM t LEFT JOIN LATERAL (SELECT max(1) AS h FROM u WHERE u.c = t.c) x ON true",
        ),
        (
            "SELECT x.person_id IS NULL FROM t LEFT JOIN LATERAL (SELECT u.person_id FROM u WHERE u.c = t.c LIMIT 1) x \
             ON true",
            "SELECT x.person_id IS NULL FROM t LEFT JOIN LATERAL (SELECT max(1) AS person_id FROM u WHERE u.c = t.c) x \
             ON true",
        ),
        ("SELECT DISTINCT a, COUNT(*) OVER (PARTITION BY a) AS n FROM t", "SELECT a, COUNT(*) AS n FROM t GROUP BY a"),
        (
            "SELECT p.person_id, p.sex, COUNT(v.x) FROM person p JOIN v ON v.p = p.person_id GROUP BY p.person_id",
            "SELECT p.person_id, p.sex, COUNT(v.x) FROM person p JOIN v ON v.p = p.person_id GROUP BY p.person_id, p.sex",
        ),
        (
            "SELECT 1 FROM t WHERE NOT a IS DISTINCT FROM b AND c OR d IS NOT DISTINCT FROM e OR f",
            "SELECT 1 FROM t WHERE NOT (a IS DISTINCT FROM b) AND c OR (d IS NOT DISTINCT FROM e) OR f",
        ),
        (
            "SELECT v.n FROM (VALUES (1, (SELECT COUNT(*) FROM t)), (2, (SELECT COUNT(*) FROM u))) v(k, n)",
            "SELECT v.n FROM (SELECT 1 AS column1, (SELECT COUNT(*) FROM t) AS column2 UNION ALL SELECT 2 AS column1, \
             (SELECT COUNT(*) FROM u) AS column2) AS v (k, n)",
        ),
        (
            "SELECT EXTRACT(EPOCH FROM (a - (b + INTERVAL '1 year'))), EXTRACT(DAY FROM a - INTERVAL '1 day') FROM t",
            "SELECT EXTRACT(EPOCH FROM CAST((a) + INTERVAL '0 day' AS TIMESTAMP(6)) - CAST((b + INTERVAL '1 year') + \
             INTERVAL '0 day' AS TIMESTAMP(6))), EXTRACT(DAY FROM a - INTERVAL '1 day') FROM t",
        ),
        (
            "SELECT to_date(x.y, '%Y') AS y, n FROM x ORDER BY x.y DESC, n LIMIT 3",
            "SELECT y, n FROM (SELECT to_date(x.y, '%Y') AS y, n, x.y AS __sekisho_by_0 FROM x) AS __sekisho_ordered ORDER BY \
             __sekisho_by_0 DESC, n LIMIT 3",
        ),
        ("SELECT x.y::INT AS y FROM x ORDER BY x.y DESC", "SELECT x.y::INT AS y FROM x ORDER BY y DESC"),
        ("SELECT a, COUNT(*) FROM t GROUP BY a ORDER BY ALL", "SELECT a, COUNT(*) FROM t GROUP BY a ORDER BY 1, 2"),
        (
            "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.i = p.i AND NOT EXISTS (SELECT 1 FROM d WHERE d.i = \
             p.i))",
            "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.i = p.i AND NOT EXISTS (SELECT 1 FROM d WHERE d.i = \
             c.i))",
        ),
        (
            "SELECT x.n FROM t LEFT JOIN LATERAL (SELECT COUNT(*) AS n FROM u WHERE u.c = t.c HAVING COUNT(*) > 1) x ON true",
            "SELECT x.n FROM t LEFT JOIN LATERAL (SELECT CASE WHEN COUNT(*) > 1 THEN COUNT(*) END AS n FROM u WHERE u.c = \
             t.c) x ON true",
        ),
        (
            "SELECT x.n + x.m FROM t LEFT JOIN LATERAL (SELECT COUNT(*) AS n, MAX(u.a) FILTER (WHERE u.d > t.d) AS m FROM u \
             WHERE u.c = t.c) x ON true",
            "SELECT __sekisho_side_0_x.n + __sekisho_side_1_x.m FROM t LEFT JOIN LATERAL (SELECT COUNT(*) AS n FROM u WHERE \
             u.c = t.c) __sekisho_side_0_x ON true LEFT JOIN LATERAL (SELECT MAX(u.a) AS m FROM u WHERE (u.c = t.c) AND \
             (u.d > t.d)) __sekisho_side_1_x ON true",
        ),
        (
            "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM a, b WHERE a.i = p.i AND b.i = p.i)",
            "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM a, b WHERE (a.i = p.i AND b.i = p.i) AND a.i = b.i)",
        ),
        (
            "SELECT * FROM (SELECT y, c, i FROM t) s PIVOT (COUNT(i) FOR c IN ([9201], [9203])) p",
            "SELECT * FROM (SELECT y, COUNT(i) FILTER (WHERE c = 9201) AS \"9201\", COUNT(i) FILTER (WHERE c = 9203) AS \
             \"9203\" FROM (SELECT y, c, i FROM t) AS s GROUP BY y) AS p",
        ),
    ] {
        assert_eq!(spoken_text(written).expect("spoken"), meant);
    }
    let endless = "SELECT * FROM generate_series(1, 100000) AS n";
    assert_eq!(spoken_text(endless).expect("spoken"), endless, "left to be refused");
}

/// Where the rewriting would mean something else, nothing is rewritten.
#[test]
fn laterals_windows_and_subqueries_that_mean_more_stay_as_they_were_written() {
    for same in [
        "SELECT DISTINCT a, b, COUNT(*) OVER (PARTITION BY a) AS n FROM t",
        "SELECT DISTINCT a, COUNT(*) OVER (PARTITION BY a, b) AS n FROM t",
        "SELECT DISTINCT a, COUNT(*) OVER (PARTITION BY a ORDER BY b) AS n FROM t",
        "SELECT x.h FROM t LEFT JOIN LATERAL (SELECT u.h FROM u WHERE u.c = t.c LIMIT 1) x ON true",
        "SELECT x.person_id FROM t LEFT JOIN LATERAL (SELECT u.person_id FROM u WHERE u.c = t.c LIMIT 1) x ON true",
        "SELECT x.h FROM t JOIN LATERAL (SELECT 1 AS h FROM u WHERE u.c = t.c LIMIT 1) x ON true",
        "SELECT * FROM t CROSS JOIN LATERAL (SELECT 1 AS b) a",
        "SELECT a.b FROM t CROSS JOIN LATERAL (SELECT COUNT(*) AS b) a",
        "SELECT a.b FROM t CROSS JOIN LATERAL (SELECT t.c AS b) a WHERE EXISTS (SELECT 1 FROM u AS a WHERE a.b = 1)",
        "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.i = p.i OR NOT EXISTS (SELECT 1 FROM d WHERE d.i = p.i))",
        "SELECT 1 FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.i = p.i AND EXISTS (SELECT 1 FROM d AS c WHERE c.i = p.i))",
        "SELECT p.person_id, v.x FROM person p JOIN v ON v.p = p.person_id GROUP BY p.person_id",
    ] {
        assert_eq!(spoken_text(same).expect("spoken"), same);
    }
    for refused in [
        "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c) SELECT n FROM c",
        "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n - 1 FROM c WHERE n < 5) SELECT n FROM c",
        "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 99999) SELECT n FROM c",
        "WITH RECURSIVE c AS (SELECT a FROM t UNION ALL SELECT t.a FROM c JOIN t ON t.b = c.a) SELECT a FROM c",
        "SELECT * FROM t PIVOT (COUNT(i) FOR c IN (1)) p",
        "SELECT COUNT(t.*) FROM t",
        "SELECT a FROM t INTERSECT ALL SELECT a FROM u",
        "SELECT TOP 3 WITH TIES a FROM t ORDER BY a",
        "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
        "SELECT a @> b FROM t",
    ] {
        assert_eq!(spoken_text(refused).expect_err(refused).code(), "function_not_allowed", "{refused}");
    }
}

/// Rewritings that copy what was written, or write lists out, end before they fill the memory.
#[test]
fn small_texts_that_become_large_ones_are_too_complex() {
    let laterals = |times: usize, of: &dyn Fn(String) -> String| {
        let side = |n: usize| {
            let before = if n == 0 { "m.v".to_owned() } else { format!("l{}.x", n - 1) };
            format!(" CROSS JOIN LATERAL (SELECT {} AS x) l{n}", of(before))
        };
        let sides: String = (0..times).map(side).collect();
        format!("SELECT COUNT(*) FROM m{sides} WHERE l{}.x > 1", times - 1)
    };
    let lists = vec!["generate_series(1, 4096)"; 300].join(", ");
    let views = " LATERAL VIEW explode(sequence(1, 4096)) v AS y".repeat(300);
    for bomb in [
        laterals(23, &|x| format!("{x} + {x}")),
        laterals(20, &|x| format!("{x}{}", "+1".repeat(1_300))),
        format!(
            "SELECT coalesce({}) FROM m GROUP BY ROLLUP ({})",
            vec!["a"; 5_000].join(","),
            vec!["1"; 1_000].join(",")
        ),
        format!("SELECT COUNT(*) FROM {lists}"),
        format!("SELECT COUNT(*) FROM m{views}"),
        format!("SELECT 1 WHERE 1 IN ({})", vec!["SELECT generate_series(1, 4096)"; 250].join(" UNION ALL ")),
    ] {
        assert_eq!(spoken_text(&bomb).expect_err("a bomb").code(), "too_complex", "{}", &bomb[..80]);
    }
    let values = (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let sums = vec!["SUM(i) AS s"; 100].join(", ");
    let pivot = format!("SELECT * FROM (SELECT y, c, i FROM t) s PIVOT ({sums} FOR c IN ({values})) p");
    assert_eq!(spoken_text(&pivot).expect_err("a bomb").code(), "function_not_allowed");
    assert!(spoken_text(&laterals(5, &|x| format!("{x} + {x}"))).is_ok());
}

#[test]
fn a_list_among_columns_that_are_computed_stays_as_it_was_written() {
    for same in [
        "SELECT COUNT(*), generate_series(1, 3) FROM t",
        "SELECT generate_series(1, 3), generate_series(1, 2)",
        "SELECT DISTINCT generate_series(1, 3)",
        "SELECT *, unnest(ARRAY[1, 2]) FROM t",
        "SELECT (array_agg(a ORDER BY b))[2] FROM t",
        "SELECT (array_agg(a))[1] FROM t",
        "SELECT (array_agg(DISTINCT a ORDER BY a))[1] FROM t",
    ] {
        assert_eq!(spoken_text(same).expect("spoken"), same);
    }
}

#[test]
fn columns_of_one_name_are_told_apart_by_a_number() {
    let told_apart = |sql: &str| match parse(sql, &Limits::default()) {
        Ok(Call::Ask(statement)) => told_apart(*statement).to_string(),
        other => panic!("{other:?}"),
    };
    for (written, meant) in [
        (
            "SELECT COUNT(*), COUNT(*), COUNT(*) FROM t",
            "SELECT COUNT(*), COUNT(*) AS \"count_2\", COUNT(*) AS \"count_3\" FROM t",
        ),
        (
            "SELECT COUNT(*), COUNT(*), a AS count_2 FROM t",
            "SELECT COUNT(*), COUNT(*) AS \"count_3\", a AS count_2 FROM t",
        ),
        ("SELECT a, a::INT FROM t", "SELECT a, coalesce(a::INT) AS \"a_2\" FROM t"),
        (
            "SELECT AVG(a), AVG(a::INT), AVG(a::BIGINT) FROM t",
            "SELECT AVG(a), AVG(coalesce(a::INT)) AS \"avg_2\", AVG(coalesce(coalesce(a::BIGINT))) AS \"avg_3\" FROM t",
        ),
        ("SELECT MAX('2020-01-01'::DATE) FROM t", "SELECT MAX('2020-01-01'::DATE) FROM t"),
    ] {
        assert_eq!(told_apart(written), meant);
    }
}

#[test]
fn columns_without_a_name_have_that_of_postgres() {
    let named = |sql: &str| match parse(sql, &Limits::default()) {
        Ok(Call::Ask(statement)) => named_as_postgres(*statement).to_string(),
        other => panic!("{other:?}"),
    };
    for (written, meant) in [
        ("SELECT a, COUNT(*)::INT FROM t ORDER BY 2", "SELECT a, COUNT(*)::INT AS \"count\" FROM t ORDER BY 2"),
        ("SELECT x.min FROM (SELECT MIN(a) FROM t) x", "SELECT x.min FROM (SELECT MIN(a) AS \"min\" FROM t) x"),
        ("SELECT a || b FROM t", "SELECT a || b AS \"?column?\" FROM t"),
        ("SELECT SUM(a), SUM(b) FROM t", "SELECT SUM(a), SUM(b) FROM t"),
    ] {
        assert_eq!(named(written), meant);
    }
}

#[test]
fn rows_of_values_are_looked_up_where_null_is_as_good_as_false() {
    let written = "SELECT 1 FROM t WHERE (a, b) IN (SELECT c, d FROM u) AND e";
    let meant = "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM (SELECT c, d FROM u) AS __sekisho_row (__sekisho_c0, \
                 __sekisho_c1) WHERE __sekisho_row.__sekisho_c0 = (a) AND __sekisho_row.__sekisho_c1 = (b)) AND e";
    assert_eq!(spoken_text(written).expect("spoken"), meant);
    for same in
        ["SELECT 1 FROM t WHERE NOT (a, b) IN (SELECT c, d FROM u)", "SELECT (a, b) IN (SELECT c, d FROM u) FROM t"]
    {
        assert_eq!(spoken_text(same).expect("spoken"), same);
    }
}

#[test]
fn everything_else_stays_as_it_was_written() {
    for same in
        ["f(a, b)", "a * b", "EXTRACT(YEAR FROM a)", "AGE(a, b)", "datediff(hour, a, b)", "a + n * INTERVAL '1 month'"]
    {
        assert_eq!(spoken_of(same), same);
    }
}
