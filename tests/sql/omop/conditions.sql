-- name: prevalence of diabetes by sex
-- expect: answerable
SELECT p.gender_concept_id,
       COUNT(DISTINCT CASE WHEN co.person_id IS NOT NULL THEN p.person_id END) AS cases,
       COUNT(DISTINCT p.person_id) AS persons
FROM person p
LEFT JOIN condition_occurrence co ON co.person_id = p.person_id AND co.condition_concept_id = 201826
GROUP BY p.gender_concept_id;

-- name: prevalence as a percentage of everybody
-- expect: answerable
SELECT 100.0 * COUNT(DISTINCT person_id) / (SELECT COUNT(*) FROM person) AS prevalence_pct
FROM condition_occurrence
WHERE condition_concept_id = 320128;

-- name: persons per condition with name and rank
-- expect: answerable
SELECT condition_concept_id, concept_name, persons, RANK() OVER (ORDER BY persons DESC) AS rnk
FROM (
    SELECT co.condition_concept_id, c.concept_name, COUNT(DISTINCT co.person_id) AS persons
    FROM condition_occurrence co
    JOIN concept c ON c.concept_id = co.condition_concept_id
    GROUP BY co.condition_concept_id, c.concept_name
) t
ORDER BY persons DESC, condition_concept_id
LIMIT 20;

-- name: incidence by year and sex
-- expect: answerable
WITH first_dx AS (
    SELECT person_id, MIN(condition_start_date) AS dx_date
    FROM condition_occurrence
    WHERE condition_concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826)
    GROUP BY person_id
)
SELECT EXTRACT(YEAR FROM f.dx_date) AS dx_year, p.gender_concept_id, COUNT(*) AS new_cases
FROM first_dx f
JOIN person p ON p.person_id = f.person_id
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: age at first diagnosis by condition
-- expect: answerable
SELECT condition_concept_id, COUNT(*) AS n, MIN(age) AS min_age, MAX(age) AS max_age, AVG(age) AS avg_age,
       STDDEV_SAMP(age) AS sd_age, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY age) AS median_age
FROM (
    SELECT co.person_id, co.condition_concept_id,
           MIN(EXTRACT(YEAR FROM co.condition_start_date) - p.year_of_birth) AS age
    FROM condition_occurrence co JOIN person p ON p.person_id = co.person_id
    GROUP BY co.person_id, co.condition_concept_id
) t
GROUP BY condition_concept_id;

-- name: age in decades at diagnosis
-- expect: answerable
SELECT FLOOR((YEAR(c.condition_start_date) - p.year_of_birth) / 10) AS age_decile, p.gender_concept_id, COUNT_BIG(DISTINCT p.person_id) AS count_value
FROM person p
INNER JOIN condition_occurrence c ON p.person_id = c.person_id
GROUP BY FLOOR((YEAR(c.condition_start_date) - p.year_of_birth) / 10), p.gender_concept_id;

-- name: age groups by full years of age
-- expect: answerable
SELECT CASE WHEN a < 18 THEN '<18' WHEN a < 40 THEN '18-39' WHEN a < 65 THEN '40-64' WHEN a < 80 THEN '65-79' ELSE '80+' END AS age_group,
       COUNT(*) AS diagnoses
FROM (
    SELECT DATE_PART('year', AGE(co.condition_start_date, p.birth_datetime::date)) AS a
    FROM condition_occurrence co JOIN person p ON p.person_id = co.person_id
    WHERE p.birth_datetime IS NOT NULL
) x
GROUP BY 1;

-- name: comorbidity pairs
-- expect: answerable
SELECT c1.concept_name AS condition_1, c2.concept_name AS condition_2, COUNT(DISTINCT a.person_id) AS persons
FROM condition_era a
JOIN condition_era b ON a.person_id = b.person_id AND a.condition_concept_id < b.condition_concept_id
JOIN concept c1 ON c1.concept_id = a.condition_concept_id
JOIN concept c2 ON c2.concept_id = b.condition_concept_id
GROUP BY c1.concept_name, c2.concept_name
HAVING COUNT(DISTINCT a.person_id) >= 5
ORDER BY persons DESC;

-- name: observed over expected for a pair
-- expect: answerable
WITH n AS (SELECT COUNT(*)::double precision AS n FROM person),
     a AS (SELECT COUNT(DISTINCT person_id)::double precision AS a FROM condition_era WHERE condition_concept_id = 201826),
     b AS (SELECT COUNT(DISTINCT person_id)::double precision AS b FROM condition_era WHERE condition_concept_id = 320128),
     ab AS (SELECT COUNT(*)::double precision AS ab FROM (
               SELECT person_id FROM condition_era WHERE condition_concept_id = 201826
               INTERSECT
               SELECT person_id FROM condition_era WHERE condition_concept_id = 320128) i)
SELECT ab.ab * n.n / NULLIF(a.a * b.b, 0) AS observed_to_expected FROM n, a, b, ab;

-- name: days from hypertension to stroke
-- expect: answerable
WITH htn AS (SELECT person_id, MIN(condition_start_date) AS d FROM condition_occurrence WHERE condition_concept_id = 320128 GROUP BY person_id),
     stroke AS (SELECT person_id, MIN(condition_start_date) AS d FROM condition_occurrence WHERE condition_concept_id = 381316 GROUP BY person_id)
SELECT COUNT(*) AS n, AVG(stroke.d - htn.d) AS mean_days,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY stroke.d - htn.d) AS median_days
FROM htn JOIN stroke ON stroke.person_id = htn.person_id AND stroke.d > htn.d;

-- name: time between events in months
-- expect: answerable
SELECT DATEDIFF(month, a.condition_era_start_date, b.condition_era_start_date) AS months, COUNT(*) AS n
FROM condition_era a
JOIN condition_era b ON b.person_id = a.person_id AND b.condition_era_start_date >= a.condition_era_start_date
WHERE a.condition_concept_id = 201826 AND b.condition_concept_id = 312327
  AND DATEDIFF(month, a.condition_era_start_date, b.condition_era_start_date) <= 24
GROUP BY DATEDIFF(month, a.condition_era_start_date, b.condition_era_start_date);

-- name: diagnoses per month as text
-- expect: answerable
SELECT TO_CHAR(condition_start_date, 'YYYY-MM') AS month, COUNT(*) AS diagnoses
FROM condition_occurrence
WHERE condition_start_date >= '2010-01-01' AND condition_start_date < '2012-01-01'
GROUP BY TO_CHAR(condition_start_date, 'YYYY-MM')
ORDER BY month;
-- plain:
SELECT TO_CHAR(condition_start_date, '%Y-%m') AS month, COUNT(*) AS diagnoses
FROM condition_occurrence
WHERE condition_start_date >= '2010-01-01' AND condition_start_date < '2012-01-01'
GROUP BY 1;

-- name: by year and place of living
-- expect: answerable
SELECT l.state, EXTRACT(YEAR FROM ce.condition_era_start_date) AS yr, COUNT(DISTINCT ce.person_id) AS persons
FROM condition_era ce
JOIN person p ON p.person_id = ce.person_id
LEFT JOIN location l ON l.location_id = p.location_id
WHERE ce.condition_concept_id = 255573
GROUP BY l.state, EXTRACT(YEAR FROM ce.condition_era_start_date);

-- name: era length by condition
-- expect: answerable
SELECT ce.condition_concept_id,
       MIN(len) AS min_value, MAX(len) AS max_value, AVG(1.0 * len) AS avg_value, STDDEV(len) AS stdev_value
FROM (SELECT condition_concept_id, condition_era_end_date - condition_era_start_date AS len FROM condition_era) ce
GROUP BY ce.condition_concept_id;

-- name: records per person and condition
-- expect: answerable
SELECT condition_concept_id, num_records, COUNT(*) AS persons
FROM (SELECT person_id, condition_concept_id, COUNT(*) AS num_records
      FROM condition_occurrence GROUP BY person_id, condition_concept_id) c
GROUP BY condition_concept_id, num_records;

-- name: primary diagnosis at inpatient visits
-- expect: answerable
SELECT co.condition_concept_id, COUNT(DISTINCT v.visit_occurrence_id) AS stays
FROM visit_occurrence v
JOIN condition_occurrence co ON co.visit_occurrence_id = v.visit_occurrence_id
WHERE v.visit_concept_id IN (9201, 262) AND co.condition_status_concept_id = 32902
GROUP BY co.condition_concept_id;

-- name: share with a second record within a year
-- expect: answerable
WITH numbered AS (
    SELECT person_id, condition_start_date,
           LEAD(condition_start_date, 1) OVER (PARTITION BY person_id ORDER BY condition_start_date) AS next_date,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY condition_start_date) AS rn
    FROM condition_occurrence WHERE condition_concept_id = 317009
)
SELECT COUNT(*) AS persons,
       COUNT(*) FILTER (WHERE next_date <= condition_start_date + INTERVAL '1 year') AS confirmed,
       ROUND(COUNT(*) FILTER (WHERE next_date <= condition_start_date + INTERVAL '1 year')::numeric / NULLIF(COUNT(*), 0), 3) AS share
FROM numbered WHERE rn = 1;

-- name: charlson style score
-- expect: answerable
SELECT score, COUNT(*) AS persons
FROM (
    SELECT p.person_id,
           MAX(CASE WHEN ce.condition_concept_id = 312327 THEN 1 ELSE 0 END)
         + MAX(CASE WHEN ce.condition_concept_id = 381316 THEN 1 ELSE 0 END)
         + MAX(CASE WHEN ce.condition_concept_id = 255573 THEN 1 ELSE 0 END)
         + 2 * MAX(CASE WHEN ce.condition_concept_id = 201826 THEN 1 ELSE 0 END) AS score
    FROM person p LEFT JOIN condition_era ce ON ce.person_id = p.person_id
    GROUP BY p.person_id
) s
GROUP BY score ORDER BY score;

-- name: person years and incidence rate
-- expect: answerable
WITH at_risk AS (
    SELECT op.person_id, op.observation_period_start_date AS s, op.observation_period_end_date AS e, x.dx
    FROM observation_period op
    LEFT JOIN (SELECT person_id, MIN(condition_start_date) AS dx FROM condition_occurrence
               WHERE condition_concept_id = 313217 GROUP BY person_id) x ON x.person_id = op.person_id
    WHERE x.dx IS NULL OR x.dx >= op.observation_period_start_date
)
SELECT SUM(CASE WHEN dx <= e THEN 1 ELSE 0 END) AS cases,
       SUM((LEAST(COALESCE(dx, e), e) - s) / 365.25) AS person_years,
       1000 * SUM(CASE WHEN dx <= e THEN 1 ELSE 0 END) / SUM((LEAST(COALESCE(dx, e), e) - s) / 365.25) AS rate_per_1000
FROM at_risk;

-- name: conditions without an end
-- expect: answerable
SELECT condition_type_concept_id, COUNT(*) AS n, SUM(CASE WHEN condition_end_date IS NULL THEN 1 ELSE 0 END) AS open_ended
FROM condition_occurrence GROUP BY condition_type_concept_id;

-- name: which conditions occur at all
-- expect: answerable
SELECT DISTINCT condition_concept_id FROM condition_occurrence ORDER BY condition_concept_id;

-- name: classes above a condition
-- expect: answerable
SELECT ca.ancestor_concept_id, COUNT(DISTINCT co.person_id) AS persons
FROM condition_occurrence co
INNER JOIN concept_ancestor ca ON co.condition_concept_id = ca.descendant_concept_id AND ca.min_levels_of_separation > 0
GROUP BY ca.ancestor_concept_id
ORDER BY COUNT(DISTINCT co.person_id) DESC, 1
FETCH FIRST 25 ROWS ONLY;
