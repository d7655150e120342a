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

-- name: how much a value varies within a person
-- expect: answerable
SELECT AVG(s) AS mean_sd FROM (
  SELECT person_id, STDDEV_SAMP(value_as_number) AS s FROM measurement
  WHERE value_as_number BETWEEN 0 AND 300 GROUP BY person_id HAVING COUNT(value_as_number) >= 3
) q;

-- name: slope of each person
-- expect: answerable
SELECT COUNT(*) FILTER (WHERE slope < 0) AS falling, COUNT(slope) AS all_persons FROM (
  SELECT person_id, REGR_SLOPE(LEAST(GREATEST(value_as_number, 0), 300), EXTRACT(YEAR FROM measurement_date)) AS slope
  FROM measurement GROUP BY person_id
) q;

-- name: spread beside each row
-- expect: answerable
SELECT COUNT(*) AS far FROM (
  SELECT person_id, LEAST(GREATEST(value_as_number, 0), 300) AS v,
    AVG(LEAST(GREATEST(value_as_number, 0), 300)) OVER (PARTITION BY person_id) AS m,
    STDDEV_POP(LEAST(GREATEST(value_as_number, 0), 300)) OVER (PARTITION BY person_id) AS s
  FROM measurement WHERE value_as_number IS NOT NULL
) q WHERE v > m + 2 * s;

-- name: mean of a person only compared
-- expect: answerable
SELECT COUNT(*) AS high FROM (
  SELECT person_id FROM measurement GROUP BY person_id HAVING AVG(value_as_number) >= 50
) q;

-- name: three tables of rows that each want one value
-- expect: answerable
SELECT COUNT(DISTINCT a.person_id) AS n
FROM visit_occurrence a
JOIN visit_occurrence b ON b.person_id = a.person_id AND b.visit_concept_id = 9202
JOIN visit_occurrence c ON c.person_id = a.person_id AND c.visit_start_date > b.visit_start_date
WHERE a.visit_concept_id = 9201;

-- name: count_if and iff
-- expect: answerable
SELECT IFF(year_of_birth < 1950, 'old', 'young') AS g, COUNT_IF(gender_concept_id = 8532) AS women FROM person GROUP BY 1 ORDER BY 1;

-- name: the last concept by max_by
-- expect: answerable
SELECT COUNT(*) AS n FROM (
  SELECT person_id, MAX_BY(visit_concept_id, visit_start_date) AS last_kind FROM visit_occurrence GROUP BY person_id
) q WHERE last_kind = 9201;

-- name: any value inside a person
-- expect: answerable
SELECT k, COUNT(*) AS n FROM (
  SELECT person_id, ANY_VALUE(gender_concept_id) AS k FROM person GROUP BY person_id
) q WHERE k IN (8507, 8532) GROUP BY k ORDER BY k;

-- name: outer apply with top
-- expect: answerable
SELECT COUNT(*) AS n FROM person p
OUTER APPLY (SELECT TOP 1 v.visit_concept_id FROM visit_occurrence v WHERE v.person_id = p.person_id
             ORDER BY v.visit_start_date, v.visit_occurrence_id) f
WHERE f.visit_concept_id IS NOT NULL;
-- plain:
SELECT COUNT(*) AS n FROM person p WHERE EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = p.person_id);

-- name: rollup by number
-- expect: answerable
SELECT gender_concept_id, year_of_birth < 1950 AS old, COUNT(*) AS n FROM person GROUP BY ROLLUP (1, 2) ORDER BY 1, 2;

-- name: months as dates
-- expect: answerable
WITH months AS (SELECT generate_series('2019-01-01'::date, '2019-12-01'::date, INTERVAL '1 month')::date AS m)
SELECT months.m, COUNT(v.person_id) AS n
FROM months LEFT JOIN visit_occurrence v ON CAST(date_trunc('month', v.visit_start_date) AS DATE) = months.m
GROUP BY months.m ORDER BY months.m;

-- name: ages are rounded
-- expect: answerable
SELECT COUNT(*) AS n FROM person WHERE CAST((DATE '2024-01-01' - CAST(birth_datetime AS DATE)) / 365.25 AS INTEGER) = 40;
-- plain:
SELECT COUNT(*) AS n FROM person WHERE ROUND((DATE '2024-01-01' - CAST(birth_datetime AS DATE)) / 365.25) = 40;

-- name: root of a count
-- expect: answerable
SELECT gender_concept_id, SQRT(COUNT(*)) AS se, POWER(COUNT(*), 2) AS square FROM person GROUP BY 1 ORDER BY 1;

-- name: weeks by their borders
-- expect: answerable
SELECT COUNT(*) AS n FROM visit_occurrence WHERE DATEDIFF(week, visit_start_date, visit_end_date) >= 1;

-- name: like with escape
-- expect: public-only
SELECT COUNT(*) AS n FROM concept WHERE concept_name LIKE '%50!%%' ESCAPE '!';

-- name: list of names within a group
-- expect: public-only
SELECT domain_id, LISTAGG(concept_code, ',') WITHIN GROUP (ORDER BY concept_code, concept_id) AS codes
FROM concept WHERE vocabulary_id = 'Gender' GROUP BY domain_id;

-- name: any value of everybody
-- expect: must-refuse
SELECT ANY_VALUE(year_of_birth) FROM person;

-- name: median of the last value before a stay, by sex
-- expect: answerable
SELECT p.gender_concept_id, PERCENTILE_APPROX(LEAST(GREATEST(q.v, 0), 300), 0.5) AS median
FROM person p JOIN (
  SELECT m.person_id, MAX_BY(m.value_as_number, m.measurement_date) AS v
  FROM measurement m JOIN visit_occurrence v ON v.person_id = m.person_id AND m.measurement_date <= v.visit_start_date
  GROUP BY m.person_id
) q ON q.person_id = p.person_id
GROUP BY p.gender_concept_id;

-- name: days to the next prescription after a diagnosis
-- expect: answerable
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY LEAST(gap, 365)) AS median_days FROM (
  SELECT c.person_id, MIN(DATEDIFF(day, c.condition_start_date, d.drug_exposure_start_date)) AS gap
  FROM condition_occurrence c JOIN drug_exposure d
    ON d.person_id = c.person_id AND d.drug_exposure_start_date >= c.condition_start_date
  GROUP BY c.person_id
) q;

-- name: path of stays as a list
-- expect: answerable
SELECT path, COUNT(*) AS persons FROM (
  SELECT v.person_id, LISTAGG(CAST(v.visit_concept_id AS VARCHAR), '>') WITHIN GROUP (ORDER BY v.visit_start_date, v.visit_occurrence_id) AS path
  FROM (SELECT person_id, visit_concept_id, visit_start_date, visit_occurrence_id,
               ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY visit_start_date, visit_occurrence_id) AS k
        FROM visit_occurrence) v
  JOIN person p ON p.person_id = v.person_id
  WHERE v.k <= 2 GROUP BY v.person_id
) q GROUP BY path;

-- name: variation of a value by sex
-- expect: answerable
SELECT p.gender_concept_id, MEDIAN(LEAST(s, 100)) AS typical FROM (
  SELECT person_id, STDDEV(LEAST(GREATEST(value_as_number, 0), 300)) AS s FROM measurement GROUP BY person_id
) q JOIN person p ON p.person_id = q.person_id GROUP BY p.gender_concept_id;

-- name: median days of supply by sex
-- expect: answerable
SELECT p.gender_concept_id, APPROX_PERCENTILE(LEAST(d.days_supply, 180), 0.5) AS median
FROM drug_exposure d JOIN person p USING (person_id) GROUP BY p.gender_concept_id;

-- name: first and last year of stays beside each other
-- expect: answerable
SELECT MIN(first_year) AS earliest, MAX(last_year) AS latest FROM (
  SELECT v.person_id, EXTRACT(YEAR FROM MIN(v.visit_start_date)) AS first_year, EXTRACT(YEAR FROM MAX(v.visit_start_date)) AS last_year
  FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY v.person_id
) q;

-- name: stays in a row within a window, joined to persons
-- expect: answerable
SELECT p.gender_concept_id, COUNT(*) AS soon FROM (
  SELECT person_id, DATEDIFF(day, LAG(visit_end_date) OVER (PARTITION BY person_id ORDER BY visit_start_date, visit_occurrence_id), visit_start_date) AS gap
  FROM visit_occurrence
) q JOIN person p ON p.person_id = q.person_id WHERE gap BETWEEN 0 AND 30 GROUP BY p.gender_concept_id;

-- name: what comes first in each person's record
-- expect: answerable
SELECT first_type, COUNT(*) AS n FROM (
  SELECT DISTINCT ON (person_id) person_id, typ AS first_type FROM (
    SELECT person_id, 'dx' AS typ, MIN(condition_start_date) AS d FROM condition_occurrence GROUP BY person_id
    UNION ALL
    SELECT person_id, 'rx', MIN(drug_exposure_start_date) FROM drug_exposure GROUP BY person_id
    UNION ALL
    SELECT person_id, 'visit', MIN(visit_start_date) FROM visit_occurrence GROUP BY person_id
  ) e ORDER BY person_id, d, typ
) t GROUP BY first_type;

-- name: concepts by the month in which they began
-- expect: public-only
SELECT DATE_TRUNC(valid_start_date, MONTH) AS began, COUNT(*) AS n FROM concept GROUP BY 1 ORDER BY 1;

-- name: names that begin with a letter of the second half
-- expect: public-only
SELECT COUNT(*) AS n FROM concept WHERE concept_name ~ '^[N-Z]' AND NOT concept_name ILIKE '%unspecified%';

-- name: standard concepts as a share of their vocabulary
-- expect: public-only
SELECT vocabulary_id, COUNT_IF(standard_concept = 'S') AS standard, COUNT(*) AS n FROM concept GROUP BY vocabulary_id;
