-- name: adults by comparing an age
-- expect: answerable
SELECT p.gender_concept_id, COUNT(DISTINCT co.person_id) AS adults
FROM condition_occurrence co JOIN person p ON p.person_id = co.person_id
WHERE AGE(co.condition_start_date, p.birth_datetime::date) >= INTERVAL '18 years'
GROUP BY p.gender_concept_id;

-- name: exposures in the thirty days before, by a range of days
-- expect: answerable
SELECT recent, COUNT(*) AS exposures
FROM (SELECT COUNT(*) OVER (PARTITION BY person_id ORDER BY drug_exposure_start_date
                            RANGE BETWEEN INTERVAL '30 days' PRECEDING AND CURRENT ROW) AS recent
      FROM drug_exposure) t
GROUP BY recent;

-- name: median of medians
-- expect: answerable
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY m) AS typical
FROM (SELECT person_id, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY days_supply) AS m
      FROM drug_exposure WHERE days_supply IS NOT NULL GROUP BY person_id) t;

-- name: bounds in a filter and in a case
-- expect: answerable
SELECT measurement_concept_id,
       AVG(value_as_number) FILTER (WHERE value_as_number BETWEEN 0 AND 300) AS mean_plausible,
       SUM(CASE WHEN value_as_number >= 0 AND value_as_number <= 300 THEN value_as_number ELSE 0 END) AS total
FROM measurement GROUP BY measurement_concept_id;

-- name: supply as an interval from a text
-- expect: answerable
SELECT COUNT(*) AS n
FROM drug_exposure
WHERE drug_exposure_start_date + (days_supply || ' days')::interval > drug_exposure_end_date;

-- name: supply as an interval by name
-- expect: answerable
SELECT DATE_TRUNC('year', drug_exposure_start_date + make_interval(days => days_supply::int)) AS y, COUNT(*) AS n
FROM drug_exposure WHERE days_supply IS NOT NULL GROUP BY 1;

-- name: full years between two dates
-- expect: answerable
SELECT TIMESTAMPDIFF(YEAR, p.birth_datetime, d.death_date) AS age, COUNT(*) AS n
FROM death d JOIN person p ON p.person_id = d.person_id
WHERE p.birth_datetime IS NOT NULL
GROUP BY TIMESTAMPDIFF(YEAR, p.birth_datetime, d.death_date);

-- name: a list of concepts as rows
-- expect: answerable
SELECT u.concept_id, COUNT(DISTINCT co.person_id) AS persons
FROM unnest(ARRAY[201826, 320128, 317009, 999]) AS u(concept_id)
LEFT JOIN condition_occurrence co ON co.condition_concept_id = u.concept_id
GROUP BY u.concept_id ORDER BY u.concept_id;

-- name: every condition with its persons, also where there are none
-- expect: answerable
SELECT c.concept_id, c.concept_name, COUNT(DISTINCT co.person_id) AS persons
FROM concept c
LEFT JOIN condition_occurrence co ON co.condition_concept_id = c.concept_id
WHERE c.domain_id = 'Condition' AND c.standard_concept = 'S'
GROUP BY c.concept_id, c.concept_name;

-- name: first drug by lateral
-- expect: answerable
SELECT f.drug_concept_id, COUNT(*) AS persons
FROM person p
LEFT JOIN LATERAL (SELECT d.drug_concept_id FROM drug_exposure d WHERE d.person_id = p.person_id
                   ORDER BY d.drug_exposure_start_date, d.drug_exposure_id LIMIT 1) f ON TRUE
GROUP BY f.drug_concept_id;
-- plain:
SELECT f.drug_concept_id, COUNT(*) AS persons
FROM person p
LEFT JOIN (SELECT person_id, drug_concept_id, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_exposure_start_date, drug_exposure_id) AS rn
           FROM drug_exposure) f ON f.person_id = p.person_id AND f.rn = 1
GROUP BY f.drug_concept_id;

-- name: last visit of those who have one, by lateral
-- expect: answerable
SELECT v.visit_concept_id, MAX(v.visit_start_date) AS latest, COUNT(*) AS persons
FROM person p
CROSS JOIN LATERAL (SELECT o.visit_concept_id, o.visit_start_date FROM visit_occurrence o WHERE o.person_id = p.person_id
                    ORDER BY o.visit_start_date DESC, o.visit_occurrence_id DESC LIMIT 1) v
GROUP BY v.visit_concept_id;
-- plain:
SELECT visit_concept_id, MAX(visit_start_date) AS latest, COUNT(*) AS persons
FROM (SELECT visit_concept_id, visit_start_date, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY visit_start_date DESC, visit_occurrence_id DESC) AS rn
      FROM visit_occurrence) v
WHERE rn = 1 GROUP BY visit_concept_id;

-- name: visits with a diagnosis, each once
-- expect: answerable
SELECT COUNT(*) AS visits FROM (SELECT DISTINCT visit_occurrence_id FROM condition_occurrence WHERE visit_occurrence_id IS NOT NULL) t;

-- name: first diagnosis of each visit
-- expect: answerable
SELECT condition_concept_id, COUNT(*) AS visits
FROM (SELECT condition_concept_id,
             ROW_NUMBER() OVER (PARTITION BY visit_occurrence_id ORDER BY condition_start_date, condition_occurrence_id) AS rn
      FROM condition_occurrence WHERE visit_occurrence_id IS NOT NULL) t
WHERE rn = 1 GROUP BY condition_concept_id;

-- name: number of codes in use
-- expect: answerable
SELECT COUNT(*) AS codes FROM (SELECT DISTINCT condition_concept_id FROM condition_occurrence) t;

-- name: specialties and sites by number
-- expect: answerable
SELECT v.care_site_id, v.provider_id, COUNT(DISTINCT v.person_id) AS persons
FROM visit_occurrence v WHERE v.care_site_id IS NOT NULL AND v.provider_id IS NOT NULL
GROUP BY v.care_site_id, v.provider_id;

-- name: end of the month and start of the quarter
-- expect: answerable
SELECT EOMONTH(visit_start_date) AS month_end, TRUNC(visit_start_date, 'Q') AS quarter_start, COUNT(*) AS n
FROM visit_occurrence WHERE visit_start_date >= '20150101' AND visit_start_date < '20160101'
GROUP BY EOMONTH(visit_start_date), TRUNC(visit_start_date, 'Q');

-- name: everything in capitals and with odd spacing
-- expect: answerable
SELECT
    P.GENDER_CONCEPT_ID   AS SEX -- the sex
  , COUNT(*)              AS N   /* persons */
  , MIN( P.YEAR_OF_BIRTH ) AS OLDEST
FROM PERSON AS P
WHERE 1 = 1
  AND P.YEAR_OF_BIRTH > 1900
GROUP BY
    P.GENDER_CONCEPT_ID
;

-- name: sex decoded
-- expect: answerable
SELECT DECODE(gender_concept_id, 8507, 'M', 8532, 'F', 'other') AS sex, IIF(year_of_birth < 1960, 'old', 'young') AS age, COUNT(*) AS n
FROM person GROUP BY DECODE(gender_concept_id, 8507, 'M', 8532, 'F', 'other'), IIF(year_of_birth < 1960, 'old', 'young');

-- name: distinct pairs of values by a case of keys
-- expect: answerable
SELECT condition_concept_id,
       COUNT(DISTINCT CASE WHEN condition_end_date IS NULL THEN person_id END) AS persons_open,
       COUNT(DISTINCT CASE WHEN condition_end_date IS NOT NULL THEN visit_occurrence_id END) AS visits_closed
FROM condition_occurrence GROUP BY condition_concept_id;

-- name: months between with a rest
-- expect: answerable
SELECT FLOOR(MONTHS_BETWEEN(visit_end_date, visit_start_date)) AS months, COUNT(*) AS n, MAX(MONTHS_BETWEEN(visit_end_date, visit_start_date)) AS longest
FROM visit_occurrence GROUP BY FLOOR(MONTHS_BETWEEN(visit_end_date, visit_start_date));
