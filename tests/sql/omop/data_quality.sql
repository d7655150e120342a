-- name: share of missing values in a required field
-- expect: answerable
SELECT num_violated_rows,
       CASE WHEN denominator.num_rows = 0 THEN 0 ELSE 1.0 * num_violated_rows / denominator.num_rows END AS pct_violated_rows,
       denominator.num_rows AS num_denominator_rows
FROM (
    SELECT COUNT_BIG(violated_rows.violating_field) AS num_violated_rows
    FROM (
        /*violatedRowsBegin*/
        SELECT 'PERSON.BIRTH_DATETIME' AS violating_field, cdmTable.*
        FROM person cdmTable
        WHERE cdmTable.birth_datetime IS NULL
        /*violatedRowsEnd*/
    ) violated_rows
) violated_row_count
CROSS JOIN (SELECT COUNT_BIG(*) AS num_rows FROM person cdmTable) denominator;

-- name: implausible year of birth
-- expect: answerable
SELECT SUM(CASE WHEN year_of_birth < 1910 OR year_of_birth > YEAR(GETDATE()) THEN 1 ELSE 0 END) AS implausible, COUNT(*) AS total FROM person;

-- name: orphan visits
-- expect: answerable
SELECT COUNT_BIG(*) AS orphans
FROM condition_occurrence co
LEFT JOIN visit_occurrence vo ON co.visit_occurrence_id = vo.visit_occurrence_id
WHERE co.visit_occurrence_id IS NOT NULL AND vo.visit_occurrence_id IS NULL;

-- name: ends before it starts
-- expect: answerable
SELECT 'visit_occurrence' AS tbl, COUNT(*) AS n FROM visit_occurrence WHERE visit_end_date < visit_start_date
UNION ALL SELECT 'drug_exposure', COUNT(*) FROM drug_exposure WHERE drug_exposure_end_date < drug_exposure_start_date
UNION ALL SELECT 'condition_occurrence', COUNT(*) FROM condition_occurrence WHERE condition_end_date < condition_start_date
UNION ALL SELECT 'condition_era', COUNT(*) FROM condition_era WHERE condition_era_end_date < condition_era_start_date;

-- name: events before birth
-- expect: answerable
SELECT COUNT(*) AS n, COUNT(DISTINCT c.person_id) AS persons
FROM condition_occurrence c JOIN person p ON p.person_id = c.person_id
WHERE c.condition_start_date < TO_DATE(CONCAT(p.year_of_birth, '-', LPAD(COALESCE(p.month_of_birth, 1)::text, 2, '0'), '-01'), 'YYYY-MM-DD');

-- name: events before the year of birth
-- expect: answerable
SELECT 'drug' AS domain, SUM(CASE WHEN EXTRACT(YEAR FROM d.drug_exposure_start_date) < p.year_of_birth THEN 1 ELSE 0 END) AS before_birth, COUNT(*) AS all_rows
FROM drug_exposure d, person p WHERE d.person_id = p.person_id;

-- name: events after death
-- expect: answerable
SELECT COUNT(*) AS n FROM drug_exposure de INNER JOIN death d ON d.person_id = de.person_id
WHERE de.drug_exposure_start_date > DATEADD(day, 60, d.death_date);

-- name: unmapped records per table
-- expect: answerable
SELECT t.tbl, t.unmapped, t.total, ROUND(100.0 * t.unmapped / NULLIF(t.total, 0), 2) AS pct
FROM (
    SELECT 'condition' AS tbl, COUNT(*) FILTER (WHERE condition_concept_id = 0) AS unmapped, COUNT(*) AS total FROM condition_occurrence
    UNION ALL SELECT 'device', COUNT(*) FILTER (WHERE device_concept_id = 0), COUNT(*) FROM device_exposure
    UNION ALL SELECT 'specimen', COUNT(*) FILTER (WHERE specimen_concept_id = 0), COUNT(*) FROM specimen
) t ORDER BY t.tbl;

-- name: records that are not standard
-- expect: answerable
SELECT COUNT(*) AS n
FROM drug_exposure de
LEFT JOIN concept c ON de.drug_concept_id = c.concept_id
WHERE de.drug_concept_id != 0 AND (c.standard_concept IS NULL OR c.standard_concept != 'S' OR c.invalid_reason IS NOT NULL);

-- name: concept in the wrong domain
-- expect: answerable
SELECT c.domain_id, COUNT(*) AS n
FROM measurement m JOIN concept c ON m.measurement_concept_id = c.concept_id
WHERE c.domain_id NOT IN ('Measurement')
GROUP BY c.domain_id;

-- name: duplicated records
-- expect: answerable
SELECT SUM(copies - 1) AS redundant
FROM (SELECT person_id, drug_concept_id, drug_exposure_start_date, COUNT(*) AS copies
      FROM drug_exposure GROUP BY person_id, drug_concept_id, drug_exposure_start_date HAVING COUNT(*) > 1) d;

-- name: duplicated primary keys
-- expect: answerable
SELECT COUNT(*) AS duplicated FROM (SELECT visit_occurrence_id FROM visit_occurrence GROUP BY visit_occurrence_id HAVING COUNT(*) > 1) t;

-- name: overlapping observation periods
-- expect: answerable
SELECT COUNT(DISTINCT a.person_id) AS persons
FROM observation_period a JOIN observation_period b
  ON a.person_id = b.person_id AND a.observation_period_id <> b.observation_period_id
 AND a.observation_period_start_date <= b.observation_period_end_date AND a.observation_period_end_date >= b.observation_period_start_date;

-- name: completeness of measurement values
-- expect: answerable
SELECT measurement_concept_id,
       100.0 * COUNT(value_as_number) / COUNT(*) AS pct_number,
       100.0 * COUNT(value_as_concept_id) / COUNT(*) AS pct_concept,
       100.0 * COUNT(unit_concept_id) / COUNT(*) AS pct_unit,
       100.0 * COUNT(visit_occurrence_id) / COUNT(*) AS pct_visit
FROM measurement GROUP BY measurement_concept_id;

-- name: implausible values by unit
-- expect: answerable
SELECT unit_concept_id, COUNT(*) AS n, SUM(CASE WHEN value_as_number < 0 OR value_as_number > 1000 THEN 1 ELSE 0 END) AS implausible
FROM measurement WHERE measurement_concept_id IN (3004249, 3012888) GROUP BY unit_concept_id;

-- name: types of records per table and year
-- expect: answerable
SELECT c.concept_name AS type, TRUNC(EXTRACT(YEAR FROM o.observation_date)) AS y, COUNT(*) AS n
FROM observation o JOIN concept c ON c.concept_id = o.observation_type_concept_id
GROUP BY c.concept_name, TRUNC(EXTRACT(YEAR FROM o.observation_date));

-- name: date and time that disagree
-- expect: answerable
SELECT COUNT(*) AS n FROM visit_occurrence WHERE visit_start_datetime IS NOT NULL AND CAST(visit_start_datetime AS DATE) <> visit_start_date;

-- name: persons without observation period
-- expect: answerable
SELECT COUNT(*) FROM person p LEFT JOIN observation_period op ON p.person_id = op.person_id WHERE op.person_id IS NULL;

-- name: rows per table
-- expect: answerable
SELECT 'person' AS table_name, COUNT(*) AS row_count FROM person
UNION ALL SELECT 'visit_occurrence', COUNT(*) FROM visit_occurrence
UNION ALL SELECT 'condition_occurrence', COUNT(*) FROM condition_occurrence
UNION ALL SELECT 'drug_exposure', COUNT(*) FROM drug_exposure
UNION ALL SELECT 'measurement', COUNT(*) FROM measurement
ORDER BY row_count DESC, table_name;

-- name: notes by type and year
-- expect: answerable
SELECT note_type_concept_id, EXTRACT(YEAR FROM note_date) AS y, COUNT(*) AS notes, COUNT(DISTINCT person_id) AS persons
FROM note GROUP BY note_type_concept_id, EXTRACT(YEAR FROM note_date);

-- name: sex specific condition in the other sex
-- expect: answerable
SELECT p.gender_concept_id, COUNT(*) AS n
FROM condition_occurrence co
INNER JOIN person p ON co.person_id = p.person_id
WHERE co.condition_concept_id IN (SELECT concept_id_1 FROM concept_relationship WHERE relationship_id = 'Maps to')
  AND p.gender_concept_id <> 8532
GROUP BY p.gender_concept_id;
