-- name: one row for each sex by windows
-- expect: answerable
SELECT DISTINCT p.gender_concept_id, COUNT(*) OVER (PARTITION BY p.gender_concept_id) AS n,
       MIN(p.year_of_birth) OVER (PARTITION BY p.gender_concept_id) AS oldest
FROM person p;

-- name: decades by a lateral column
-- expect: answerable
SELECT a.age / 10 * 10 AS decade, COUNT(*) AS n, MIN(a.age) AS youngest
FROM person p CROSS JOIN LATERAL (SELECT 2024 - p.year_of_birth AS age) a
WHERE a.age >= 40 GROUP BY a.age / 10 * 10 ORDER BY 1;

-- name: any drug within a month, by a lateral row
-- expect: answerable
SELECT EXTRACT(YEAR FROM co.condition_start_date)::int AS yr, COUNT(*) AS episodes,
       COUNT(*) FILTER (WHERE x.person_id IS NOT NULL) AS treated
FROM condition_occurrence co
LEFT JOIN LATERAL (SELECT de.person_id FROM drug_exposure de WHERE de.person_id = co.person_id
     AND de.drug_exposure_start_date BETWEEN co.condition_start_date AND co.condition_start_date + 30 LIMIT 1) x ON TRUE
GROUP BY 1 ORDER BY 1;
-- plain:
SELECT CAST(EXTRACT(YEAR FROM co.condition_start_date) AS int) AS yr, COUNT(*) AS episodes, COUNT(x.i) AS treated
FROM condition_occurrence co
LEFT JOIN (SELECT DISTINCT c.condition_occurrence_id AS i FROM condition_occurrence c JOIN drug_exposure de ON de.person_id = c.person_id
     AND de.drug_exposure_start_date BETWEEN c.condition_start_date AND c.condition_start_date + 30) x ON x.i = co.condition_occurrence_id
GROUP BY 1 ORDER BY 1;

-- name: untreated at least once
-- expect: answerable
SELECT COUNT(*) AS n FROM person p
WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id
   AND NOT EXISTS (SELECT 1 FROM drug_exposure d WHERE d.person_id = p.person_id
       AND d.drug_exposure_start_date BETWEEN c.condition_start_date AND c.condition_start_date + 7));

-- name: sex selected beside its person's key
-- expect: answerable
SELECT gender_concept_id, AVG(LEAST(n, 50)) AS mean_visits, COUNT(*) AS persons FROM (
  SELECT p.person_id, p.gender_concept_id, COUNT(v.visit_occurrence_id) AS n
  FROM person p LEFT JOIN visit_occurrence v ON v.person_id = p.person_id
  GROUP BY p.person_id) t
GROUP BY gender_concept_id;

-- name: gap with the start as its default
-- expect: answerable
SELECT COUNT(*) AS persons, AVG(LEAST(GREATEST(g, 0), 3650)) AS longest_gap FROM (
  SELECT person_id, MAX(gap) AS g FROM (
    SELECT person_id, visit_start_date - LAG(visit_end_date, 1, visit_start_date) OVER
      (PARTITION BY person_id ORDER BY visit_start_date, visit_occurrence_id) AS gap FROM visit_occurrence) a
  GROUP BY person_id) b;

-- name: set of drugs as one text
-- expect: answerable
SELECT combo, COUNT(*) AS persons FROM (
  SELECT person_id, STRING_AGG(DISTINCT CASE WHEN drug_concept_id < 1500000 THEN 'A' ELSE 'B' END, '+'
         ORDER BY CASE WHEN drug_concept_id < 1500000 THEN 'A' ELSE 'B' END) AS combo, MAX(drug_era_end_date) AS last
  FROM drug_era GROUP BY person_id) s
GROUP BY combo ORDER BY persons DESC;

-- name: sets of drugs in reverse
-- expect: answerable
SELECT combo, COUNT(*) AS persons FROM (
  SELECT e.person_id, STRING_AGG(DISTINCT c.vocabulary_id, '>' ORDER BY c.vocabulary_id DESC) AS combo
  FROM drug_era e JOIN concept c ON c.concept_id = e.drug_concept_id GROUP BY e.person_id) s
GROUP BY combo;

-- name: age groups by an array of bounds
-- expect: answerable
SELECT width_bucket(2023 - year_of_birth, ARRAY[18, 40, 65, 75]) AS agegrp, COUNT(*) AS n FROM person GROUP BY 1 ORDER BY 1;
-- plain:
SELECT CASE WHEN 2023 - year_of_birth < 18 THEN 0 WHEN 2023 - year_of_birth < 40 THEN 1 WHEN 2023 - year_of_birth < 65 THEN 2
       WHEN 2023 - year_of_birth < 75 THEN 3 WHEN year_of_birth IS NOT NULL THEN 4 END AS agegrp, COUNT(*) AS n FROM person GROUP BY 1;

-- name: deaths along a recursive calendar
-- expect: answerable
WITH RECURSIVE cal AS (
  SELECT DATE '2015-01-01' AS m
  UNION ALL
  SELECT (m + INTERVAL '1 year')::date FROM cal WHERE m < DATE '2024-01-01'
)
SELECT cal.m AS year_start, COUNT(d.person_id) AS deaths
FROM cal LEFT JOIN death d ON d.death_date >= cal.m AND d.death_date < cal.m + INTERVAL '1 year'
GROUP BY cal.m ORDER BY cal.m;

-- name: two diseases along a list of years
-- expect: answerable
WITH yrs AS (SELECT y FROM generate_series(2018, 2024) AS y)
SELECT y, COUNT(DISTINCT CASE WHEN ce.condition_concept_id = 320128 THEN ce.person_id END) AS htn,
       COUNT(DISTINCT ce.person_id) FILTER (WHERE ce.condition_concept_id = 201826) AS t2dm,
       SUM(CASE WHEN ce.condition_occurrence_count > 1 THEN 1 ELSE 0 END) AS repeated
FROM yrs LEFT JOIN condition_era ce ON EXTRACT(YEAR FROM ce.condition_era_start_date) <= y
     AND EXTRACT(YEAR FROM ce.condition_era_end_date) >= y
GROUP BY y ORDER BY y;
-- plain:
WITH yrs AS (SELECT * FROM (VALUES (2018), (2019), (2020), (2021), (2022), (2023), (2024)) AS v(y))
SELECT y, COUNT(DISTINCT CASE WHEN ce.condition_concept_id = 320128 THEN ce.person_id END) AS htn,
       COUNT(DISTINCT CASE WHEN ce.condition_concept_id = 201826 THEN ce.person_id END) AS t2dm,
       SUM(CASE WHEN ce.condition_occurrence_count > 1 THEN 1 ELSE 0 END) AS repeated
FROM yrs LEFT JOIN condition_era ce ON EXTRACT(YEAR FROM ce.condition_era_start_date) <= y
     AND EXTRACT(YEAR FROM ce.condition_era_end_date) >= y
GROUP BY y ORDER BY y;

-- name: census with a column called as it is cast
-- expect: answerable
SELECT d.day::date AS day, COUNT(v.visit_occurrence_id) AS in_house
FROM generate_series('2020-01-08'::date, '2020-01-14'::date, '1 day'::interval) AS d(day)
LEFT JOIN visit_occurrence v ON d.day BETWEEN v.visit_start_date AND v.visit_end_date
GROUP BY d.day ORDER BY d.day;

-- name: quarters of a column called d
-- expect: answerable
WITH ev AS (SELECT person_id, condition_start_date AS d FROM condition_occurrence)
SELECT date_trunc('quarter', d)::date AS quarter, COUNT(DISTINCT person_id) AS persons, MAX(d) AS last FROM ev GROUP BY 1 ORDER BY 1;

-- name: quarters by name
-- expect: answerable
SELECT TO_CHAR(visit_start_date, 'YYYY"-Q"Q') AS qtr, COUNT(*) AS n FROM visit_occurrence GROUP BY 1 ORDER BY 1 FETCH FIRST 20 ROWS ONLY;

-- name: kinds of visit by pivot
-- expect: answerable
SELECT yr, [9201] AS ip, [9202] AS op
FROM (SELECT YEAR(visit_start_date) AS yr, visit_concept_id, person_id FROM dbo.visit_occurrence) s
PIVOT (COUNT(person_id) FOR visit_concept_id IN ([9201], [9202])) p
ORDER BY yr;

-- name: share of each kind by report
-- expect: answerable
SELECT visit_concept_id, COUNT(*) AS n, RATIO_TO_REPORT(COUNT(*)) OVER () AS share
FROM cdm.visit_occurrence WHERE visit_concept_id IN (9201, 9202) GROUP BY visit_concept_id;

-- name: years by a view of a list
-- expect: answerable
SELECT yr, COUNT(DISTINCT person_id) AS n
FROM drug_era LATERAL VIEW explode(sequence(2018, 2022)) t AS yr
WHERE year(drug_era_start_date) <= yr AND year(drug_era_end_date) >= yr
GROUP BY yr ORDER BY yr;

-- name: Sunday weeks
-- expect: answerable
SELECT DATE_TRUNC(v.visit_start_date, WEEK) AS wk, COUNT(*) AS n, MAX(p.year_of_birth) AS youngest
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY wk ORDER BY wk;
-- plain:
SELECT CAST(date_trunc('week', v.visit_start_date + 1) AS DATE) - 1 AS wk, COUNT(*) AS n, MAX(p.year_of_birth) AS youngest
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY 1 ORDER BY 1;

-- name: different diagnoses of a person as an array
-- expect: answerable
SELECT k, COUNT(*) AS persons FROM (
  SELECT person_id, cardinality(array_agg(DISTINCT condition_concept_id)) AS k FROM condition_occurrence GROUP BY person_id) t
GROUP BY k ORDER BY k;

-- name: deaths beside those of the year before
-- expect: answerable
WITH y AS (SELECT EXTRACT(YEAR FROM death_date)::int AS yr, COUNT(*) AS n FROM death GROUP BY 1)
SELECT a.yr, a.n AS n1, b.n AS n0 FROM y a JOIN y b ON b.yr = a.yr - 1 ORDER BY a.yr;

-- name: pairs of years with deaths
-- expect: answerable
WITH y AS (SELECT EXTRACT(YEAR FROM death_date)::int AS yr, COUNT(*) AS n FROM death GROUP BY 1)
SELECT COUNT(*) AS pairs, MAX(b.yr - a.yr) AS widest FROM y a JOIN y b ON b.yr > a.yr;

-- name: visits by a name that is looked up
-- expect: answerable
SELECT (SELECT c.concept_name FROM concept c WHERE c.concept_id = v.visit_concept_id) AS name, COUNT(*) AS n,
       MAX(v.visit_start_date) AS last
FROM visit_occurrence v GROUP BY v.visit_concept_id;
-- plain:
SELECT c.concept_name AS name, t.n, t.last FROM (SELECT visit_concept_id, COUNT(*) AS n, MAX(visit_start_date) AS last
  FROM visit_occurrence GROUP BY 1) t LEFT JOIN concept c ON c.concept_id = t.visit_concept_id;

-- name: ordered by the name that a count has
-- expect: answerable
SELECT gender_concept_id, COUNT(*), MIN(year_of_birth) FROM person GROUP BY 1 ORDER BY count DESC;
-- plain:
SELECT gender_concept_id, COUNT(*) AS count, MIN(year_of_birth) AS min FROM person GROUP BY 1 ORDER BY 2 DESC;

-- name: ordered by the place of a cast
-- expect: answerable
SELECT p.gender_concept_id, COUNT(*)::int FROM person p JOIN death d ON d.person_id = p.person_id
GROUP BY p.gender_concept_id ORDER BY 2;
-- plain:
SELECT p.gender_concept_id, COUNT(*) AS count FROM person p JOIN death d ON d.person_id = p.person_id
GROUP BY p.gender_concept_id ORDER BY 2;

-- name: open ends as texts
-- expect: answerable
SELECT COUNT(*) AS n, MAX(LEAST(GREATEST(COALESCE(condition_end_date, '2024-12-31') - condition_start_date, 0), 365)) AS longest
FROM condition_occurrence;
-- plain:
SELECT COUNT(*) AS n, MAX(LEAST(GREATEST(CAST(COALESCE(condition_end_date, DATE '2024-12-31') AS INT) - CAST(condition_start_date AS INT), 0), 365)) AS longest
FROM condition_occurrence;

-- name: years as texts of four letters
-- expect: answerable
SELECT v.visit_start_date::varchar(4) AS yr, COUNT(*) AS n, MAX(p.year_of_birth) AS youngest
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY 1 ORDER BY 1;
-- plain:
SELECT left(CAST(v.visit_start_date AS varchar), 4) AS yr, COUNT(*) AS n, MAX(p.year_of_birth) AS youngest
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY 1 ORDER BY 1;

-- name: decades with whole numbers in their names
-- expect: answerable
SELECT CONCAT(FLOOR((2024 - p.year_of_birth) / 10) * 10, '-', FLOOR((2024 - p.year_of_birth) / 10) * 10 + 9) AS decade, COUNT(*) AS n
FROM person p JOIN death d ON d.person_id = p.person_id GROUP BY 1 ORDER BY 1;
-- plain:
SELECT CONCAT((2024 - p.year_of_birth) / 10 * 10, '-', (2024 - p.year_of_birth) / 10 * 10 + 9) AS decade, COUNT(*) AS n
FROM person p JOIN death d ON d.person_id = p.person_id GROUP BY 1 ORDER BY 1;

-- name: mean between ends that CASE sets
-- expect: answerable
SELECT AVG(v) AS mean_ldl, MAX(v) AS highest FROM (
  SELECT CASE WHEN value_as_number < 30 THEN 30 WHEN value_as_number > 250 THEN 250 ELSE value_as_number END AS v
  FROM measurement WHERE value_as_number IS NOT NULL) x;

-- name: two kinds of visit in one subquery
-- expect: answerable
SELECT COUNT(*) AS n FROM person p
WHERE EXISTS (SELECT 1 FROM visit_occurrence a, visit_occurrence b
              WHERE a.person_id = p.person_id AND b.person_id = p.person_id
                AND a.visit_concept_id = 9202 AND b.visit_concept_id = 9201 AND b.visit_start_date > a.visit_end_date);
-- plain:
SELECT COUNT(*) AS n FROM person p
WHERE p.person_id IN (SELECT a.person_id FROM visit_occurrence a JOIN visit_occurrence b ON b.person_id = a.person_id
              WHERE a.visit_concept_id = 9202 AND b.visit_concept_id = 9201 AND b.visit_start_date > a.visit_end_date);

-- name: months by the zero date
-- expect: answerable
SELECT DATEADD(month, DATEDIFF(month, 0, v.visit_start_date), 0) AS m, COUNT(*) AS n
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id WHERE p.year_of_birth < 1960 GROUP BY
DATEADD(month, DATEDIFF(month, 0, v.visit_start_date), 0) ORDER BY m;
-- plain:
SELECT CAST(date_trunc('month', v.visit_start_date) AS DATE) AS m, COUNT(*) AS n
FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id WHERE p.year_of_birth < 1960 GROUP BY 1 ORDER BY 1;

-- name: observed on days of an array
-- expect: answerable
SELECT d.day, COUNT(o.person_id) AS observed
FROM unnest(ARRAY['2019-01-01', '2020-01-01']::date[]) AS d(day)
LEFT JOIN observation_period o ON d.day BETWEEN o.observation_period_start_date AND o.observation_period_end_date
GROUP BY d.day ORDER BY 1;
-- plain:
SELECT d.day, COUNT(o.person_id) AS observed
FROM (VALUES (DATE '2019-01-01'), (DATE '2020-01-01')) AS d(day)
LEFT JOIN observation_period o ON d.day BETWEEN o.observation_period_start_date AND o.observation_period_end_date
GROUP BY d.day ORDER BY 1;

-- name: concepts of an array that is a text
-- expect: public-only
SELECT concept_id, concept_name FROM concept WHERE concept_id = ANY ('{8507, 8532}'::bigint[]) ORDER BY 1;
-- plain:
SELECT concept_id, concept_name FROM concept WHERE concept_id IN (8507, 8532) ORDER BY 1;

-- name: procedures before and after a diagnosis, by a lateral
-- expect: answerable
WITH dx AS (SELECT person_id, MIN(condition_start_date) AS d FROM condition_occurrence GROUP BY 1)
SELECT COUNT(*) AS n, SUM(CASE WHEN x.n_before > 0 THEN 1 ELSE 0 END) AS before, COUNT(y.n) AS repeated
FROM dx
LEFT JOIN LATERAL (
  SELECT COUNT(*) FILTER (WHERE po.procedure_date < dx.d) AS n_before, COUNT(*) FILTER (WHERE po.procedure_date >= dx.d) AS n_after
  FROM procedure_occurrence po WHERE po.person_id = dx.person_id) x ON TRUE
LEFT JOIN LATERAL (
  SELECT COUNT(*) AS n FROM procedure_occurrence po WHERE po.person_id = dx.person_id HAVING COUNT(*) > 1) y ON TRUE;
-- plain:
WITH dx AS (SELECT person_id, MIN(condition_start_date) AS d FROM condition_occurrence GROUP BY 1),
     c AS (SELECT dx.person_id, SUM(CASE WHEN po.procedure_date < dx.d THEN 1 ELSE 0 END) AS b, COUNT(*) AS n
           FROM dx JOIN procedure_occurrence po ON po.person_id = dx.person_id GROUP BY 1)
SELECT COUNT(*) AS n, SUM(CASE WHEN c.b > 0 THEN 1 ELSE 0 END) AS before, SUM(CASE WHEN c.n > 1 THEN 1 ELSE 0 END) AS repeated
FROM dx LEFT JOIN c ON c.person_id = dx.person_id;

-- name: classes in brackets
-- expect: public-only
SELECT TOP 3 [concept_class_id], COUNT(*) AS [n] FROM [concept] GROUP BY [concept_class_id] ORDER BY [n] DESC, [concept_class_id];

-- name: labels in byte order
-- expect: public-only
SELECT LOWER(TRIM(concept_name)) || ' [' || COALESCE(concept_code, '?') || ']' AS label FROM concept WHERE vocabulary_id = 'UCUM' ORDER BY LOWER(concept_name) COLLATE "C", concept_id LIMIT 6;

-- name: classes ordered by all
-- expect: public-only
SELECT vocabulary_id, domain_id, COUNT(*) AS n FROM concept GROUP BY ALL ORDER BY ALL;

-- name: numbers counted out
-- expect: public-only
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 5 FROM n WHERE i < 100) SELECT i, i * i AS square FROM n ORDER BY i;

-- name: names of months
-- expect: public-only
SELECT TO_CHAR(d, 'FMMonth') AS name, EXTRACT(ISOWEEK FROM d) AS week FROM (VALUES (DATE '2024-01-31'), (DATE '2024-02-29')) AS t(d) ORDER BY d;

-- name: domains of the standard, one row each
-- expect: public-only
SELECT DISTINCT domain_id, COUNT(*) OVER (PARTITION BY domain_id) AS n FROM concept WHERE standard_concept = 'S' ORDER BY domain_id;

-- name: concepts with the name of their vocabulary
-- expect: public-only
SELECT c.concept_id, (SELECT v.vocabulary_name FROM vocabulary v WHERE v.vocabulary_id = c.vocabulary_id) AS vocabulary FROM concept c ORDER BY 1;

-- name: halves as texts
-- expect: public-only
SELECT CAST(x AS VARCHAR) AS a, ROUND(x, 1)::text AS b, CAST(y AS VARCHAR(3)) AS c FROM (VALUES (2.5::float8, 'abcdef'), (-3.25::float8, 'ab')) AS t(x, y) ORDER BY 1;
-- plain:
SELECT CAST(x AS VARCHAR) AS a, CAST(ROUND(x, 1) AS VARCHAR) AS b, LEFT(y, 3) AS c FROM (VALUES (2.5::float8, 'abcdef'), (-3.25::float8, 'ab')) AS t(x, y) ORDER BY 1;

-- name: rows of a table counted as a whole
-- expect: must-refuse
SELECT COUNT(d.*) FROM person p LEFT JOIN death d ON d.person_id = p.person_id;

-- name: observed to the last day of all
-- expect: must-refuse
SELECT COUNT(*) FROM observation_period WHERE observation_period_end_date = (SELECT MAX(observation_period_end_date) FROM observation_period);

-- name: multiplicities of common rows
-- expect: must-refuse
SELECT COUNT(*) FROM (SELECT visit_concept_id FROM visit_occurrence EXCEPT ALL SELECT visit_concept_id FROM visit_detail) t;

-- name: rows beside a window without a key
-- expect: must-refuse
SELECT DISTINCT year_of_birth, gender_concept_id, COUNT(*) OVER (PARTITION BY gender_concept_id) AS n FROM person;

-- name: latest rows by a lateral
-- expect: must-refuse
SELECT p.person_id, x.visit_start_date FROM person p LEFT JOIN LATERAL
  (SELECT v.visit_start_date FROM visit_occurrence v WHERE v.person_id = p.person_id ORDER BY v.visit_start_date DESC LIMIT 1) x ON TRUE;

-- name: walk over persons
-- expect: must-refuse
WITH RECURSIVE chain AS (
  SELECT visit_occurrence_id, preceding_visit_occurrence_id FROM visit_occurrence WHERE preceding_visit_occurrence_id IS NOT NULL
  UNION ALL
  SELECT v.visit_occurrence_id, v.preceding_visit_occurrence_id FROM visit_occurrence v JOIN chain c ON c.preceding_visit_occurrence_id = v.visit_occurrence_id)
SELECT COUNT(*) FROM chain;

-- name: pivot of persons
-- expect: must-refuse
SELECT * FROM (SELECT person_id, visit_concept_id, visit_occurrence_id FROM visit_occurrence) s
PIVOT (COUNT(visit_occurrence_id) FOR visit_concept_id IN ([9201], [9202])) p;

-- name: all texts of a person
-- expect: must-refuse
SELECT person_id, STRING_AGG(DISTINCT condition_source_value, ',') FROM condition_occurrence GROUP BY person_id;

-- name: ages by a lateral column
-- expect: must-refuse
SELECT p.person_id, a.age FROM person p CROSS JOIN LATERAL (SELECT 2024 - p.year_of_birth AS age) a ORDER BY a.age DESC LIMIT 5;
