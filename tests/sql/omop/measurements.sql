-- name: distribution of haemoglobin a1c, bounds in where
-- expect: answerable
SELECT COUNT(*) AS n, AVG(value_as_number) AS mean, STDDEV(value_as_number) AS sd, MIN(value_as_number) AS lowest, MAX(value_as_number) AS highest
FROM measurement
WHERE measurement_concept_id = 3004410 AND value_as_number BETWEEN 2 AND 20;

-- name: percentiles of systolic pressure by sex, clamped
-- expect: answerable
SELECT p.gender_concept_id,
       PERCENTILE_CONT(0.1) WITHIN GROUP (ORDER BY LEAST(GREATEST(m.value_as_number, 50), 260)) AS p10,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY LEAST(GREATEST(m.value_as_number, 50), 260)) AS p50,
       PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY LEAST(GREATEST(m.value_as_number, 50), 260)) AS p90
FROM measurement m JOIN person p ON p.person_id = m.person_id
WHERE m.measurement_concept_id = 3004249
GROUP BY p.gender_concept_id;

-- name: mix of units
-- expect: answerable
SELECT m.measurement_concept_id, m.unit_concept_id, u.concept_name AS unit, COUNT(*) AS n
FROM measurement m LEFT JOIN concept u ON u.concept_id = m.unit_concept_id
GROUP BY m.measurement_concept_id, m.unit_concept_id, u.concept_name;

-- name: abnormal share against the ranges in the record
-- expect: answerable
SELECT measurement_concept_id,
       AVG(CASE WHEN value_as_number < range_low THEN 1.0 ELSE 0.0 END) AS below,
       AVG(CASE WHEN value_as_number > range_high THEN 1.0 ELSE 0.0 END) AS above,
       AVG(CASE WHEN value_as_number BETWEEN range_low AND range_high THEN 1.0 ELSE 0.0 END) AS normal
FROM measurement
WHERE value_as_number IS NOT NULL AND range_low IS NOT NULL AND range_high IS NOT NULL
GROUP BY measurement_concept_id;

-- name: last value per person
-- expect: answerable
SELECT CASE WHEN value_as_number < 6.5 THEN '<6.5' WHEN value_as_number < 8 THEN '6.5-8' ELSE '8+' END AS control, COUNT(*) AS persons
FROM (
    SELECT person_id, value_as_number,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY measurement_date DESC, measurement_id DESC) AS rn
    FROM measurement
    WHERE measurement_concept_id = 3004410 AND value_as_number IS NOT NULL
) m
WHERE rn = 1
GROUP BY 1;

-- name: change from baseline
-- expect: answerable
WITH ranked AS (
    SELECT person_id, value_as_number AS v,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY measurement_date, measurement_id) AS first_rn,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY measurement_date DESC, measurement_id DESC) AS last_rn
    FROM measurement WHERE measurement_concept_id = 3025315 AND value_as_number BETWEEN 20 AND 250
)
SELECT COUNT(*) AS n, AVG(l.v - f.v) AS mean_change, STDDEV(l.v - f.v) AS sd_change
FROM ranked f JOIN ranked l ON l.person_id = f.person_id
WHERE f.first_rn = 1 AND l.last_rn = 1;

-- name: body mass index from weight and height
-- expect: answerable
WITH w AS (SELECT person_id, AVG(LEAST(GREATEST(value_as_number, 20), 300)) AS kg FROM measurement WHERE measurement_concept_id = 3025315 GROUP BY person_id),
     h AS (SELECT person_id, AVG(LEAST(GREATEST(value_as_number, 50), 250)) / 100 AS m FROM measurement WHERE measurement_concept_id = 3036277 GROUP BY person_id)
SELECT CASE WHEN kg / POWER(m, 2) < 18.5 THEN 'under' WHEN kg / POWER(m, 2) < 25 THEN 'normal' ELSE 'over' END AS class, COUNT(*) AS persons
FROM w JOIN h ON h.person_id = w.person_id
GROUP BY 1;

-- name: tests per person and year
-- expect: answerable
SELECT yr, AVG(n) AS tests_per_person, MAX(n) AS most
FROM (SELECT person_id, EXTRACT(YEAR FROM measurement_date) AS yr, COUNT(*) AS n FROM measurement GROUP BY person_id, EXTRACT(YEAR FROM measurement_date)) t
GROUP BY yr;

-- name: histogram of creatinine
-- expect: answerable
SELECT FLOOR(LEAST(GREATEST(value_as_number, 0), 10) * 2) / 2 AS bin, COUNT(*) AS n
FROM measurement WHERE measurement_concept_id = 3016723 GROUP BY 1 ORDER BY 1;

-- name: pairs of pressure on one day
-- expect: answerable
SELECT CORR(s.value_as_number, d.value_as_number) AS r, COUNT(*) AS pairs
FROM measurement s
JOIN measurement d ON d.person_id = s.person_id AND d.measurement_date = s.measurement_date
WHERE s.measurement_concept_id = 3004249 AND d.measurement_concept_id = 3012888
  AND s.value_as_number BETWEEN 50 AND 300 AND d.value_as_number BETWEEN 20 AND 200;

-- name: operators other than equal
-- expect: answerable
SELECT operator_concept_id, COUNT(*) AS n FROM measurement WHERE operator_concept_id IS NOT NULL AND operator_concept_id <> 4172703 GROUP BY operator_concept_id;

-- name: values that are concepts
-- expect: answerable
SELECT m.measurement_concept_id, v.concept_name AS value, COUNT(DISTINCT m.person_id) AS persons
FROM measurement m INNER JOIN concept v ON v.concept_id = m.value_as_concept_id
WHERE m.value_as_concept_id IS NOT NULL AND m.value_as_concept_id <> 0
GROUP BY m.measurement_concept_id, v.concept_name;

-- name: first abnormal after start of a drug
-- expect: answerable
SELECT COUNT(DISTINCT d.person_id) AS exposed, COUNT(DISTINCT m.person_id) AS with_high_value
FROM (SELECT person_id, MIN(drug_exposure_start_date) AS idx FROM drug_exposure WHERE drug_concept_id = 1545958 GROUP BY person_id) d
LEFT JOIN measurement m ON m.person_id = d.person_id AND m.measurement_date > d.idx
     AND m.measurement_date <= d.idx + 365 AND m.value_as_number > 100;

-- name: interval between tests
-- expect: answerable
SELECT measurement_concept_id, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY days) AS median_days
FROM (SELECT measurement_concept_id,
             DATEDIFF(day, LAG(measurement_date) OVER (PARTITION BY person_id, measurement_concept_id ORDER BY measurement_date), measurement_date) AS days
      FROM measurement) t
WHERE days BETWEEN 0 AND 3650
GROUP BY measurement_concept_id;

-- name: any value rounded to tens
-- expect: answerable
SELECT ROUND(value_as_number / 10) * 10 AS tens, COUNT(*) AS n
FROM measurement
WHERE value_as_number >= 0 AND value_as_number < 300
GROUP BY ROUND(value_as_number / 10) * 10;

-- name: a known kind of measurement without bounds
-- expect: answerable
SELECT p.gender_concept_id, COUNT(*) AS n, AVG(m.value_as_number) AS mean, MAX(m.value_as_number) AS highest
FROM measurement m JOIN person p ON p.person_id = m.person_id
WHERE m.measurement_concept_id = 3004410 AND m.value_as_number IS NOT NULL GROUP BY p.gender_concept_id;
-- plain:
SELECT p.gender_concept_id, COUNT(*) AS n, AVG(LEAST(GREATEST(m.value_as_number, 0), 25)) AS mean,
       MAX(LEAST(GREATEST(m.value_as_number, 0), 25)) AS highest
FROM measurement m JOIN person p ON p.person_id = m.person_id
WHERE m.measurement_concept_id = 3004410 AND m.value_as_number IS NOT NULL GROUP BY p.gender_concept_id;
