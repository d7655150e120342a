//! Which bounds, and how many rows and groups of a person, follow from the catalogue and from WHERE?

use sekisho::privacy::{Kind, Origin, Release};

use super::Shapes;

fn released(sql: &str) -> Release {
    Shapes::omop().typed(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}")).releases().last().unwrap().clone()
}

/// Between which numbers the first sum is clamped, and who says so.
fn clamped(sql: &str) -> (f64, f64, Origin) {
    let release = released(sql);
    let sum = release.partials.iter().find_map(|partial| match &partial.kind {
        Kind::Sum { grid, origin, .. } => Some((grid.lo as f64 * grid.step, grid.hi as f64 * grid.step, *origin)),
        _ => None,
    });
    sum.unwrap_or_else(|| panic!("{sql}: no sum"))
}

#[test]
fn lengths_of_a_row_are_clamped_to_what_the_catalogue_declares_of_them() {
    let catalogue = |lo: f64, hi: f64| (lo, hi, Origin::Catalogue);
    for sql in [
        "SELECT AVG(visit_end_date - visit_start_date) FROM visit_occurrence",
        "SELECT AVG(DATEDIFF(day, visit_start_date, visit_end_date)) FROM visit_occurrence",
        "SELECT AVG(days) FROM (SELECT person_id, e - s AS days FROM (SELECT person_id, visit_start_date AS s, \
         COALESCE(visit_end_date, visit_start_date) AS e FROM visit_occurrence) AS v) AS w",
        "SELECT AVG(v.visit_end_date - v.visit_start_date) FROM person p LEFT JOIN visit_occurrence v USING (person_id)",
    ] {
        assert_eq!(clamped(sql), catalogue(0.0, 1096.0), "{sql}");
    }
    assert_eq!(clamped("SELECT SUM(visit_end_date - visit_start_date + 1) FROM visit_occurrence").1, 1097.0);
    assert_eq!(clamped("SELECT AVG(condition_era_end_date - condition_era_start_date) FROM condition_era").1, 7305.0);
    let extracted = "SELECT AVG(EXTRACT(DAY FROM (visit_end_date - visit_start_date))) FROM visit_occurrence";
    assert!(clamped(extracted).1 < 1_100.0, "{:?}", clamped(extracted));
    // Narrower where the question says so.
    let narrow = "SELECT AVG(visit_end_date - visit_start_date) FROM visit_occurrence \
                  WHERE visit_end_date - visit_start_date BETWEEN 0 AND 60";
    assert_eq!(clamped(narrow).1, 60.0);
}

#[test]
fn what_is_of_two_rows_is_not_clamped_to_the_length_of_one() {
    for sql in [
        "SELECT AVG(b.visit_end_date - a.visit_start_date) FROM visit_occurrence a JOIN visit_occurrence b USING (person_id)",
        "SELECT AVG(visit_start_date - e) FROM (SELECT person_id, visit_start_date, LAG(visit_end_date) OVER \
         (PARTITION BY person_id ORDER BY visit_start_date) AS e FROM visit_occurrence) AS v",
        "SELECT AVG(e - s) FROM (SELECT person_id, MAX(visit_end_date) AS e, MIN(visit_start_date) AS s \
         FROM visit_occurrence GROUP BY person_id) AS v",
        "SELECT AVG(v.visit_end_date - c.condition_start_date) FROM visit_occurrence v JOIN condition_occurrence c \
         USING (person_id)",
        "SELECT AVG(c.visit_end_date - v.visit_start_date) FROM (SELECT * FROM visit_occurrence) AS v \
         JOIN (SELECT * FROM visit_occurrence) AS c USING (person_id)",
    ] {
        assert!(clamped(sql).1 > 70_000.0, "{sql}");
    }
}

#[test]
fn values_are_bounded_by_the_codes_that_are_left() {
    for (hi, sql) in [
        (25.0, "SELECT AVG(value_as_number) FROM measurement WHERE measurement_concept_id = 3004410"),
        (300.0, "SELECT AVG(value_as_number) FROM measurement WHERE measurement_concept_id IN (3004410, 3004249)"),
        (
            300.0,
            "SELECT AVG(m.value_as_number) FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id \
             AND m.measurement_concept_id = 3004249",
        ),
        (200.0, "SELECT AVG(value_as_number) FILTER (WHERE measurement_concept_id = 3012888) FROM measurement"),
        (200.0, "SELECT AVG(CASE WHEN measurement_concept_id = 3012888 THEN value_as_number END) FROM measurement"),
        (
            25.0,
            "SELECT AVG(v) FROM (SELECT person_id, MAX(value_as_number) AS v FROM measurement \
             WHERE measurement_concept_id = 3004410 GROUP BY person_id) AS x",
        ),
    ] {
        let (lo, most, origin) = clamped(sql);
        assert_eq!((lo, most.round(), origin), (0.0, hi, Origin::Catalogue), "{sql}");
    }
    let shapes = Shapes::omop();
    for sql in [
        "SELECT AVG(value_as_number) FROM measurement",
        // Counted in very different units: the catalogue does not say.
        "SELECT AVG(value_as_number) FROM measurement WHERE measurement_concept_id IN (3004410, 3000905)",
        "SELECT AVG(value_as_number) FROM measurement WHERE measurement_concept_id <> 3004410",
        "SELECT AVG(value_as_number) FROM observation WHERE observation_concept_id = 3004410",
        // The value is of another row than the code.
        "SELECT AVG(v) FROM (SELECT person_id, measurement_concept_id, LAG(value_as_number) OVER (PARTITION BY person_id \
         ORDER BY measurement_date) AS v FROM measurement) AS x WHERE measurement_concept_id = 3004410",
        "SELECT AVG(b.value_as_number) FROM measurement a JOIN measurement b USING (person_id) \
         WHERE a.measurement_concept_id = 3004410",
    ] {
        assert_eq!(shapes.typed(sql).unwrap_err().code(), "bound_missing", "{sql}");
    }
}

#[test]
fn rows_and_groups_of_a_person_follow_from_the_catalogue_and_from_what_is_asked() {
    let bounds = |sql: &str| {
        let release = released(sql);
        (release.rows_per_group, release.groups_max)
    };
    // Conditions have m = 4 and C = 16 in the catalogue.
    for (expected, sql) in [
        // All of them in one group, unless a condition leaves fewer kinds.
        ((64, 1), "SELECT COUNT(*) FROM condition_occurrence"),
        ((64, 1), "SELECT COUNT(*), AVG(condition_end_date - condition_start_date) FROM condition_occurrence"),
        ((4, 1), "SELECT AVG(condition_end_date - condition_start_date) FROM condition_occurrence"),
        ((4, 1), "SELECT COUNT(*) FROM condition_occurrence WHERE condition_concept_id = 201826"),
        ((8, 1), "SELECT COUNT(*) FROM condition_occurrence WHERE condition_concept_id IN (201826, 320128)"),
        ((4, 16), "SELECT condition_concept_id, COUNT(*) FROM condition_occurrence GROUP BY 1"),
        // In the two groups of a CASE lie as many as in sixteen.
        (
            (32, 2),
            "SELECT CASE WHEN condition_concept_id > 9 THEN 1 ELSE 0 END, COUNT(*) FROM condition_occurrence GROUP BY 1",
        ),
        // In four times as many months half as many rows.
        ((2, 64), "SELECT date_trunc('month', condition_start_date), COUNT(*) FROM condition_occurrence GROUP BY 1"),
        (
            (2, 64),
            "SELECT EXTRACT(YEAR FROM condition_start_date), EXTRACT(MONTH FROM condition_start_date), COUNT(*) \
             FROM condition_occurrence GROUP BY 1, 2",
        ),
        ((4, 16), "SELECT EXTRACT(YEAR FROM condition_start_date), COUNT(*) FROM condition_occurrence GROUP BY 1"),
        // Whoever has none of them is one row.
        (
            (1, 1),
            "SELECT COUNT(*) FROM person p LEFT JOIN condition_occurrence c ON c.person_id = p.person_id \
             WHERE c.person_id IS NULL",
        ),
        // As many kinds as C in one group of what is counted of them.
        (
            (4, 16),
            "SELECT n, COUNT(*) FROM (SELECT person_id, condition_concept_id, COUNT(*) AS n FROM condition_occurrence \
             GROUP BY 1, 2) AS x GROUP BY n",
        ),
        // Of one row for each person there is one.
        (
            (1, 1),
            "SELECT COUNT(*) FROM (SELECT person_id, COUNT(*) AS n FROM condition_occurrence GROUP BY person_id) AS x",
        ),
        (
            (4, 1),
            "SELECT COUNT(*) FROM (SELECT person_id, MIN(condition_start_date) AS d FROM condition_occurrence \
             GROUP BY person_id) AS x JOIN observation_period o USING (person_id)",
        ),
    ] {
        assert_eq!(bounds(sql), expected, "{sql}");
    }
}
