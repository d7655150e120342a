-- name: deaths per year and sex
-- expect: answerable
SELECT EXTRACT(YEAR FROM d.death_date) AS yr, p.gender_concept_id, COUNT(*) AS deaths
FROM death d JOIN person p ON p.person_id = d.person_id GROUP BY 1, 2;

-- name: age at death
-- expect: answerable
SELECT MIN(a) AS youngest, MAX(a) AS oldest, AVG(a) AS mean, MEDIAN(a) AS median
FROM (SELECT YEAR(d.death_date) - p.year_of_birth AS a FROM death d INNER JOIN person p ON d.person_id = p.person_id) t;

-- name: causes of death
-- expect: answerable
SELECT c.concept_name AS cause, COUNT(*) AS n FROM death d LEFT JOIN concept c ON d.cause_concept_id = c.concept_id GROUP BY c.concept_name;

-- name: survival after first infarction in buckets
-- expect: answerable
WITH mi AS (SELECT person_id, MIN(condition_start_date) AS mi_date FROM condition_occurrence WHERE condition_concept_id = 312327 GROUP BY person_id)
SELECT CASE WHEN d.death_date IS NULL THEN 'alive'
            WHEN d.death_date - mi.mi_date <= 30 THEN '0-30'
            WHEN d.death_date - mi.mi_date <= 365 THEN '31-365'
            ELSE 'later' END AS survival,
       COUNT(*) AS persons
FROM mi LEFT JOIN death d ON d.person_id = mi.person_id
GROUP BY 1;

-- name: mortality within a year of a stay
-- expect: answerable
SELECT v.visit_concept_id, COUNT(DISTINCT v.person_id) AS persons, COUNT(DISTINCT d.person_id) AS died
FROM visit_occurrence v
LEFT JOIN death d ON d.person_id = v.person_id AND d.death_date BETWEEN v.visit_end_date AND v.visit_end_date + INTERVAL '1 year'
GROUP BY v.visit_concept_id;

-- name: kaplan meier numbers at risk
-- expect: answerable
WITH follow_up AS (
    SELECT op.person_id,
           LEAST(COALESCE(d.death_date, op.observation_period_end_date), op.observation_period_end_date) - op.observation_period_start_date AS days,
           CASE WHEN d.death_date <= op.observation_period_end_date THEN 1 ELSE 0 END AS event
    FROM observation_period op LEFT JOIN death d ON d.person_id = op.person_id
), years AS (
    SELECT LEAST(GREATEST(days / 365, 0), 40) AS year_no, event FROM follow_up
), counted AS (
    SELECT year_no, SUM(event) AS events, COUNT(*) AS leaving FROM years GROUP BY year_no
)
SELECT year_no, events, leaving, SUM(leaving) OVER (ORDER BY year_no ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS at_risk
FROM counted ORDER BY year_no;

-- name: dead before the last record
-- expect: answerable
SELECT COUNT(*) AS persons_with_later_records
FROM death d
WHERE EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = d.person_id AND v.visit_start_date > d.death_date);

-- name: share of deaths in hospital
-- expect: answerable
SELECT COUNT(*) AS deaths,
       SUM(CASE WHEN EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = d.person_id AND v.visit_concept_id = 9201
                             AND d.death_date BETWEEN v.visit_start_date AND v.visit_end_date) THEN 1 ELSE 0 END) AS in_hospital
FROM death d;
-- plain:
SELECT COUNT(*) AS deaths,
       (SELECT COUNT(*) FROM death d WHERE EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = d.person_id AND v.visit_concept_id = 9201
                             AND d.death_date BETWEEN v.visit_start_date AND v.visit_end_date)) AS in_hospital
FROM death;

-- name: days from the last stay before death
-- expect: answerable
SELECT CASE WHEN last IS NULL THEN 'never' WHEN death_date - last <= 30 THEN 'within 30' ELSE 'later' END AS gap, COUNT(*) AS n
FROM (SELECT d.person_id, d.death_date, (SELECT MAX(v.visit_end_date) FROM visit_occurrence v
                                         WHERE v.person_id = d.person_id AND v.visit_end_date <= d.death_date) AS last
      FROM death d) t
GROUP BY 1;
-- plain:
SELECT CASE WHEN last IS NULL THEN 'never' WHEN date_part('epoch', death_date) - date_part('epoch', last) <= 30 * 86400 THEN 'within 30' ELSE 'later' END AS gap, COUNT(*) AS n
FROM (SELECT d.person_id, d.death_date, MAX(v.visit_end_date) AS last
      FROM death d LEFT JOIN visit_occurrence v ON v.person_id = d.person_id AND v.visit_end_date <= d.death_date
      GROUP BY d.person_id, d.death_date) t
GROUP BY 1;

-- name: last diagnosis before death
-- expect: answerable
SELECT f.y, COUNT(*) AS deaths
FROM death d
LEFT JOIN LATERAL (SELECT EXTRACT(YEAR FROM c.condition_start_date) AS y FROM condition_occurrence c
                   WHERE c.person_id = d.person_id AND c.condition_start_date < d.death_date
                   ORDER BY c.condition_start_date DESC LIMIT 1) f ON TRUE
GROUP BY f.y;
-- plain:
SELECT EXTRACT(YEAR FROM last) AS y, COUNT(*) AS deaths
FROM (SELECT d.person_id, MAX(c.condition_start_date) AS last
      FROM death d LEFT JOIN condition_occurrence c ON c.person_id = d.person_id AND c.condition_start_date < d.death_date
      GROUP BY d.person_id) t
GROUP BY 1;
