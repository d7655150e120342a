-- name: one mean in two spellings
-- expect: answerable
SELECT AVG(value_as_number), AVG(value_as_number::numeric), COUNT(*), COUNT(*)
FROM measurement m JOIN person p ON p.person_id = m.person_id
WHERE m.value_as_number BETWEEN 0 AND 200 AND p.year_of_birth < 1970;

-- name: sums in three types
-- expect: answerable
SELECT gender_concept_id, SUM(year_of_birth), SUM(CAST(year_of_birth AS BIGINT)), SUM(year_of_birth::float)
FROM person WHERE person_id IN (SELECT person_id FROM measurement) GROUP BY gender_concept_id;

-- name: the greatest value of each person in two spellings
-- expect: answerable
SELECT AVG(a), AVG(b) FROM (
  SELECT person_id, MAX(value_as_number) AS a, MAX(value_as_number::numeric) AS b
  FROM measurement WHERE value_as_number BETWEEN 0 AND 200 GROUP BY person_id
) q;

-- name: distinct pairs of a person and a day
-- expect: answerable
SELECT COUNT(DISTINCT (v.person_id, v.visit_start_date)) AS person_days
FROM visit_occurrence v JOIN condition_occurrence c ON c.visit_occurrence_id = v.visit_occurrence_id;

-- name: distinct pairs as a row
-- expect: answerable
SELECT visit_concept_id, COUNT(DISTINCT ROW(person_id, visit_start_date, visit_end_date)) AS stays
FROM visit_occurrence WHERE person_id IN (SELECT person_id FROM death) GROUP BY visit_concept_id;

-- name: distinct pairs as two arguments
-- expect: answerable
SELECT COUNT(DISTINCT visit_concept_id, visit_type_concept_id) AS kinds FROM visit_occurrence
-- plain:
SELECT COUNT(DISTINCT CAST(visit_concept_id AS VARCHAR) || '/' || CAST(visit_type_concept_id AS VARCHAR)) AS kinds FROM visit_occurrence

-- name: distinct pairs where one may be missing
-- expect: answerable
SELECT COUNT(DISTINCT (measurement_concept_id, unit_concept_id)) FILTER (WHERE value_as_number > 0) AS pairs,
       COUNT(DISTINCT (value_as_number, measurement_concept_id)) AS values_seen
FROM measurement;

-- name: person-months of measurements
-- expect: answerable
SELECT COUNT(DISTINCT (m.person_id, date_trunc('month', m.measurement_date), p.year_of_birth > 1950)) AS person_months
FROM measurement m JOIN person p ON p.person_id = m.person_id;

-- name: pairs of each person
-- expect: answerable
SELECT AVG(n), MAX(n) FROM (
  SELECT m.person_id, COUNT(DISTINCT (m.measurement_concept_id, m.measurement_date)) AS n
  FROM measurement m JOIN visit_occurrence v ON v.visit_occurrence_id = m.visit_occurrence_id GROUP BY m.person_id
) q;

-- name: the most frequent sex by MODE
-- expect: must-refuse
-- code: function_not_allowed
SELECT MODE() WITHIN GROUP (ORDER BY gender_concept_id) FROM person;

-- name: the most frequent sex by counting
-- expect: answerable
SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY gender_concept_id ORDER BY n DESC LIMIT 1;

-- name: quartiles that are values
-- expect: answerable
SELECT PERCENTILE_DISC(0.25) WITHIN GROUP (ORDER BY year_of_birth) AS q1,
       PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY year_of_birth) AS q2,
       PERCENTILE_DISC(0.25) WITHIN GROUP (ORDER BY year_of_birth DESC) AS q3
FROM person p JOIN (SELECT DISTINCT person_id FROM visit_occurrence) v ON v.person_id = p.person_id;

-- name: a picked percentile of some by sex
-- expect: answerable
SELECT gender_concept_id, PERCENTILE_DISC(0.9) WITHIN GROUP (ORDER BY year_of_birth) FILTER (WHERE year_of_birth > 1950) AS late
FROM person p WHERE EXISTS (SELECT 1 FROM drug_exposure d WHERE d.person_id = p.person_id)
GROUP BY gender_concept_id;

-- name: a picked percentile inside each person
-- expect: answerable
SELECT AVG(least(greatest(m, 0), 400)) FROM (
  SELECT person_id, PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY value_as_number) AS m FROM measurement
  WHERE value_as_number BETWEEN 0 AND 400 GROUP BY person_id
) q;

-- name: a picked percentile of released counts
-- expect: answerable
SELECT PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY n) AS middle
FROM (SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY gender_concept_id) q;

-- name: a picked percentile of concepts
-- expect: public-only
SELECT PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY concept_id) AS middle FROM concept;

-- name: the first diagnosis out of an array
-- expect: answerable
SELECT first_code, COUNT(*) AS n FROM (
  SELECT person_id, (ARRAY_AGG(condition_concept_id ORDER BY condition_start_date, condition_occurrence_id))[1] AS first_code
  FROM condition_occurrence WHERE person_id IN (SELECT person_id FROM drug_exposure) GROUP BY person_id
) q GROUP BY first_code
-- plain:
SELECT first_code, COUNT(*) AS n FROM (
  SELECT person_id, FIRST_VALUE(condition_concept_id ORDER BY condition_start_date, condition_occurrence_id) AS first_code
  FROM condition_occurrence WHERE person_id IN (SELECT person_id FROM drug_exposure) GROUP BY person_id
) q GROUP BY first_code

-- name: one diagnosis of everybody out of an array
-- expect: must-refuse
SELECT (ARRAY_AGG(condition_concept_id ORDER BY condition_start_date))[1] FROM condition_occurrence;

-- name: shares of a total beside each row
-- expect: answerable
WITH total AS (SELECT COUNT(*) AS n, AVG(year_of_birth) AS mean FROM person)
SELECT p.gender_concept_id, COUNT(*) AS persons, MAX(t.n) AS of_all, COUNT(*) * 100.0 / MAX(t.n) AS percent, MIN(t.mean) AS mean
FROM person p CROSS JOIN total t GROUP BY p.gender_concept_id;

-- name: shares of a total where most are, by more than one join
-- expect: answerable
WITH total AS (SELECT COUNT(*) AS n FROM visit_occurrence)
SELECT v.visit_concept_id, COUNT(*) AS visits, AVG(t.n) AS of_all
FROM person p, total t, visit_occurrence v WHERE v.person_id = p.person_id AND p.year_of_birth > 1940
GROUP BY v.visit_concept_id HAVING COUNT(*) * 100 > MAX(t.n);

-- name: a constant beside each row
-- expect: answerable
WITH params AS (SELECT DATE '2015-01-01' AS since, 2 AS factor)
SELECT p.gender_concept_id, COUNT(*) * MAX(t.factor) AS doubled FROM person p CROSS JOIN params t GROUP BY p.gender_concept_id;

-- name: totals of sums in sets of keys
-- expect: answerable
WITH total AS (SELECT COUNT(*) AS n FROM person)
SELECT p.gender_concept_id, p.year_of_birth > 1950 AS late, COUNT(*) AS persons, MAX(t.n) AS of_all
FROM person p CROSS JOIN total t GROUP BY ROLLUP (p.gender_concept_id, p.year_of_birth > 1950);

-- name: one person's value beside all
-- expect: must-refuse
WITH one AS (SELECT year_of_birth AS y FROM person LIMIT 1)
SELECT p.gender_concept_id, COUNT(*), MAX(o.y) FROM person p CROSS JOIN one o GROUP BY p.gender_concept_id;

-- name: a value of each row from inside a lateral list
-- expect: must-refuse
SELECT x.v FROM person p CROSS JOIN LATERAL (VALUES (p.year_of_birth)) AS x(v);

-- name: years out of the SELECT list
-- expect: answerable
WITH years AS (SELECT generate_series(2010, 2020) AS y)
SELECT y.y, COUNT(v.person_id) AS visits
FROM years y LEFT JOIN visit_occurrence v ON EXTRACT(YEAR FROM v.visit_start_date) = y.y GROUP BY y.y
-- plain:
SELECT y.y, COUNT(v.person_id) AS visits
FROM (VALUES (2010), (2011), (2012), (2013), (2014), (2015), (2016), (2017), (2018), (2019), (2020)) AS y(y)
LEFT JOIN visit_occurrence v ON EXTRACT(YEAR FROM v.visit_start_date) = y.y GROUP BY y.y

-- name: a list out of the SELECT list
-- expect: public-only
SELECT unnest(ARRAY[1, 2, 3]) AS x;

-- name: months out of the SELECT list
-- expect: public-only
SELECT generate_series('2020-01-01'::date, '2020-03-01'::date, INTERVAL '1 month') AS m
-- plain:
SELECT * FROM (VALUES (TIMESTAMP '2020-01-01 00:00:00'), (TIMESTAMP '2020-02-01 00:00:00'), (TIMESTAMP '2020-03-01 00:00:00')) AS m(m)

-- name: columns turned into rows
-- expect: answerable
SELECT q.gender_concept_id, x.label, x.v
FROM (SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS y FROM person GROUP BY gender_concept_id) q
CROSS JOIN LATERAL (VALUES ('n', q.n), ('y', q.y)) AS x(label, v)
-- plain:
SELECT gender_concept_id, 'n', CAST(COUNT(*) AS DOUBLE) AS v FROM person GROUP BY gender_concept_id
UNION ALL SELECT gender_concept_id, 'y', AVG(year_of_birth) FROM person GROUP BY gender_concept_id

-- name: columns of persons turned into rows
-- expect: answerable
SELECT x.label, AVG(x.v) AS mean, COUNT(*) AS n
FROM person p CROSS JOIN LATERAL (VALUES ('year', p.year_of_birth), ('month', p.month_of_birth)) AS x(label, v) GROUP BY x.label
-- plain:
SELECT label, AVG(v), COUNT(*) FROM (
  SELECT 'year' AS label, year_of_birth AS v FROM person UNION ALL SELECT 'month', month_of_birth FROM person
) q GROUP BY label

-- name: weights with a branch of NULLs
-- expect: answerable
SELECT AVG(s) FROM (
  SELECT person_id, SUM(w) AS s FROM (
    SELECT person_id, 1 AS w FROM condition_occurrence WHERE condition_concept_id = 201826
    UNION ALL SELECT person_id, 2 FROM drug_exposure
    UNION ALL SELECT person_id, NULL FROM visit_occurrence
  ) u GROUP BY person_id
) q;

-- name: a share of a power without bounds
-- expect: must-refuse
-- code: bound_missing
SELECT SUM(1.0 * exp(value_as_number)) FROM measurement;

-- name: concepts counted twice
-- expect: public-only
SELECT domain_id, COUNT(*), COUNT(*), COUNT(DISTINCT (vocabulary_id, standard_concept)) AS kinds FROM concept GROUP BY domain_id;

-- name: vocabularies turned into rows
-- expect: public-only
SELECT c.domain_id, x.label, x.v
FROM (SELECT domain_id, COUNT(*) AS n, MIN(concept_id) AS least FROM concept GROUP BY domain_id) c,
     LATERAL (VALUES ('n', c.n), ('least', c.least)) AS x(label, v)
-- plain:
SELECT domain_id, 'n', COUNT(*) FROM concept GROUP BY domain_id
UNION ALL SELECT domain_id, 'least', MIN(concept_id) FROM concept GROUP BY domain_id

-- name: the first concept of each domain out of an array
-- expect: public-only
SELECT domain_id, (ARRAY_AGG(concept_name ORDER BY concept_id))[1] AS first_name FROM concept GROUP BY domain_id
-- plain:
SELECT domain_id, FIRST_VALUE(concept_name ORDER BY concept_id) AS first_name FROM concept GROUP BY domain_id

-- name: every domain with each of three ranks
-- expect: public-only
SELECT d.domain_id, unnest(ARRAY[1, 2, 3]) AS rank FROM domain d
-- plain:
SELECT d.domain_id, r.rank FROM domain d CROSS JOIN (VALUES (1), (2), (3)) AS r(rank)

-- name: a picked percentile of each domain
-- expect: public-only
SELECT domain_id, PERCENTILE_DISC(0.75) WITHIN GROUP (ORDER BY concept_id DESC) AS third FROM concept GROUP BY domain_id;

-- name: a key and its text side by side
-- expect: public-only
SELECT domain_id, domain_id::varchar, COUNT(*) FROM concept GROUP BY domain_id, domain_id::varchar;
