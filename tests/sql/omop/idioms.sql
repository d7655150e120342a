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

-- name: groups beside a window over a part of their keys
-- expect: answerable
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

-- name: quartiles by row numbers
-- expect: answerable
WITH drug_counts AS (
  SELECT p.person_id, COALESCE(de.drugs, 0) AS drugs
  FROM person p LEFT JOIN (SELECT person_id, COUNT(DISTINCT drug_concept_id) AS drugs FROM drug_exposure GROUP BY person_id) de
    ON de.person_id = p.person_id
)
SELECT MIN(drugs) AS min_value,
       MIN(CASE WHEN order_nr < .25 * population_size THEN 9999 ELSE drugs END) AS percentile_25,
       MIN(CASE WHEN order_nr < .50 * population_size THEN 9999 ELSE drugs END) AS median,
       MIN(CASE WHEN order_nr < .75 * population_size THEN 9999 ELSE drugs END) AS percentile_75, MAX(drugs) AS max_value
FROM (SELECT person_id, drugs, ROW_NUMBER() OVER (ORDER BY drugs) AS order_nr FROM drug_counts) ordered_data
CROSS JOIN (SELECT COUNT(*) AS population_size FROM drug_counts) population;

-- name: quartiles by row numbers in groups
-- expect: answerable
WITH raw AS (
  SELECT p.gender_concept_id AS sex, EXTRACT(YEAR FROM c.first_on) - p.year_of_birth AS age
  FROM person p JOIN (SELECT person_id, MIN(condition_start_date) AS first_on FROM condition_occurrence GROUP BY person_id) c
    ON c.person_id = p.person_id
), ordered AS (
  SELECT sex, age, ROW_NUMBER() OVER (PARTITION BY sex ORDER BY age) AS rn, COUNT(*) OVER (PARTITION BY sex) AS total FROM raw
)
SELECT sex, MAX(total) AS persons, MIN(age) AS youngest, MIN(CASE WHEN rn >= .5 * total THEN age END) AS median_age,
       MAX(CASE WHEN rn = CEIL(total * 0.9) THEN age END) AS p90
FROM ordered GROUP BY sex;

-- name: quartiles by row numbers beside the size of each group
-- expect: answerable
WITH eras AS (SELECT drug_concept_id, drug_era_end_date - drug_era_start_date AS days FROM drug_era)
SELECT o.drug_concept_id, MIN(CASE WHEN o.nr < .5 * s.n THEN 99999 ELSE o.days END) AS median_days
FROM (SELECT drug_concept_id, days, ROW_NUMBER() OVER (PARTITION BY drug_concept_id ORDER BY days) AS nr FROM eras) o
JOIN (SELECT drug_concept_id, COUNT(*) AS n FROM eras GROUP BY drug_concept_id) s ON s.drug_concept_id = o.drug_concept_id
GROUP BY o.drug_concept_id;

-- name: persons observed in each month that a period begins in
-- expect: answerable
SELECT m.obs_month, COUNT(DISTINCT op.person_id) AS persons
FROM observation_period op JOIN
  (SELECT DISTINCT EXTRACT(YEAR FROM observation_period_start_date) * 100 + EXTRACT(MONTH FROM observation_period_start_date) AS obs_month,
          date_trunc('month', observation_period_start_date)::date AS starts FROM observation_period) m
  ON op.observation_period_start_date <= m.starts AND op.observation_period_end_date >= m.starts
GROUP BY m.obs_month;

-- name: records by type beside the most of any
-- expect: answerable
SELECT condition_type_concept_id, COUNT(*) AS n, MAX(COUNT(*)) OVER () AS most, AVG(COUNT(*)) OVER () AS usual
FROM condition_occurrence GROUP BY condition_type_concept_id;

-- name: months after a first day
-- expect: answerable
WITH cal AS (SELECT g, DATE '2020-01-31' + g * INTERVAL '1 month' AS day FROM generate_series(0, 5) AS g)
SELECT cal.day::date AS on_day, COUNT(*) AS persons FROM cal
JOIN observation_period op ON cal.day BETWEEN op.observation_period_start_date AND op.observation_period_end_date
GROUP BY 1 ORDER BY 1;
-- plain:
SELECT cal.day AS on_day, COUNT(*) AS persons
FROM (VALUES (DATE '2020-01-31'), (DATE '2020-02-29'), (DATE '2020-03-31'), (DATE '2020-04-30'), (DATE '2020-05-31'), (DATE '2020-06-30')) AS cal (day)
JOIN observation_period op ON cal.day BETWEEN op.observation_period_start_date AND op.observation_period_end_date
GROUP BY 1 ORDER BY 1;

-- name: several percentiles as one text
-- expect: answerable
SELECT percentile_disc(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY year_of_birth) AS quartiles FROM person;

-- name: the sex with the most persons
-- expect: answerable
SELECT gender_concept_id, COUNT(*) AS n FROM person GROUP BY gender_concept_id
HAVING COUNT(*) >= ALL (SELECT COUNT(*) FROM person GROUP BY gender_concept_id);
-- plain:
SELECT gender_concept_id, n FROM (SELECT gender_concept_id, COUNT(*) AS n, MAX(COUNT(*)) OVER () AS most FROM person GROUP BY gender_concept_id) t
WHERE n = most;

-- name: the years of the third and the tenth oldest
-- expect: must-refuse
SELECT MAX(CASE WHEN rn = 3 THEN year_of_birth END) AS third, MAX(CASE WHEN rn = 10 THEN year_of_birth END) AS tenth
FROM (SELECT year_of_birth, ROW_NUMBER() OVER (ORDER BY year_of_birth) AS rn FROM person) t;

-- name: who stands in the middle
-- expect: must-refuse
SELECT o.person_id, o.year_of_birth FROM (SELECT person_id, year_of_birth, ROW_NUMBER() OVER (ORDER BY year_of_birth) AS rn,
  COUNT(*) OVER () AS n FROM person) o WHERE o.rn = n / 2;

-- name: each person's place among all
-- expect: must-refuse
SELECT rn, COUNT(*) AS n FROM (SELECT ROW_NUMBER() OVER (ORDER BY birth_datetime, person_id) AS rn FROM person) o GROUP BY rn;

-- name: the vocabulary with the most concepts
-- expect: public-only
SELECT vocabulary_id, COUNT(*) AS n FROM concept GROUP BY vocabulary_id
HAVING COUNT(*) >= ALL (SELECT COUNT(*) FROM concept GROUP BY vocabulary_id) ORDER BY 1;
-- plain:
SELECT vocabulary_id, n FROM (SELECT vocabulary_id, COUNT(*) AS n, MAX(COUNT(*)) OVER () AS most FROM concept GROUP BY vocabulary_id) t
WHERE n = most ORDER BY 1;

-- name: median length of names by row numbers
-- expect: public-only
SELECT o.domain_id, MIN(CASE WHEN o.rn >= .5 * o.n THEN o.len END) AS median_length FROM
  (SELECT domain_id, LENGTH(concept_name) AS len, ROW_NUMBER() OVER (PARTITION BY domain_id ORDER BY LENGTH(concept_name)) AS rn,
          COUNT(*) OVER (PARTITION BY domain_id) AS n FROM concept) o
GROUP BY o.domain_id ORDER BY 1;

-- name: quarters as days
-- expect: public-only
SELECT q, (DATE '2023-01-01' + q * INTERVAL '3 months')::date AS starts FROM generate_series(0, 3) AS q ORDER BY q;
-- plain:
SELECT q, starts FROM (VALUES (0, DATE '2023-01-01'), (1, DATE '2023-04-01'), (2, DATE '2023-07-01'), (3, DATE '2023-10-01')) AS t (q, starts)
ORDER BY q;

-- name: persons far from the mean of all
-- expect: answerable
SELECT gender_concept_id, COUNT(*) FILTER (WHERE z > 1) AS young, COUNT(*) AS n FROM
  (SELECT gender_concept_id, (year_of_birth - AVG(year_of_birth) OVER ()) / STDDEV(year_of_birth) OVER () AS z FROM person) t
GROUP BY gender_concept_id;

-- name: persons above the mean of their sex
-- expect: answerable
SELECT gender_concept_id, COUNT(*) AS n FROM
  (SELECT gender_concept_id, year_of_birth, AVG(year_of_birth) OVER (PARTITION BY gender_concept_id) AS m FROM person) t
WHERE year_of_birth > m GROUP BY gender_concept_id;

-- name: the last year of birth of each quarter
-- expect: answerable
SELECT quarter, MAX(year_of_birth) AS last FROM
  (SELECT year_of_birth, NTILE(4) OVER (ORDER BY year_of_birth) AS quarter FROM person) t
GROUP BY quarter ORDER BY quarter;

-- name: eras longer than a hundred days by their adherence
-- expect: answerable
SELECT COUNT(*) AS eras, AVG(CASE WHEN share > 3 THEN 3 ELSE share END) AS mean_share FROM
  (SELECT de.person_id, de.days, 1.0 * SUM(LEAST(GREATEST(x.days_supply, 0), 365)) / de.days AS share
   FROM (SELECT person_id, drug_concept_id, drug_era_start_date AS s, drug_era_end_date AS e, drug_era_end_date - drug_era_start_date AS days
         FROM drug_era WHERE drug_era_end_date - drug_era_start_date > 10) de
   JOIN drug_exposure x ON x.person_id = de.person_id AND x.drug_exposure_start_date BETWEEN de.s AND de.e
   WHERE x.days_supply IS NOT NULL
   GROUP BY de.person_id, de.drug_concept_id, de.s, de.days) t;

-- name: each person beside the mean of all
-- expect: must-refuse
SELECT person_id, year_of_birth - AVG(year_of_birth) OVER () AS apart FROM person;

-- name: each person's quarter
-- expect: must-refuse
SELECT person_id, NTILE(4) OVER (ORDER BY year_of_birth) AS quarter FROM person;

-- name: ranks of persons
-- expect: must-refuse
SELECT place, COUNT(*) AS n FROM (SELECT RANK() OVER (ORDER BY birth_datetime) AS place FROM person) t GROUP BY place;

-- name: quarters of names by their length
-- expect: public-only
SELECT quarter, COUNT(*) AS n FROM (SELECT NTILE(4) OVER (ORDER BY LENGTH(concept_name), concept_id) AS quarter FROM concept) t
GROUP BY quarter ORDER BY quarter;

-- name: concepts whose name is longer than usual in their domain
-- expect: public-only
SELECT domain_id, COUNT(*) AS n FROM
  (SELECT domain_id, LENGTH(concept_name) AS len, AVG(LENGTH(concept_name)) OVER (PARTITION BY domain_id) AS usual FROM concept) t
WHERE len > usual GROUP BY domain_id ORDER BY domain_id;

-- name: a distribution by counts that add up
-- expect: answerable
WITH raw (sex, count_value) AS (
  SELECT p.gender_concept_id, EXTRACT(YEAR FROM c.first_on) - p.year_of_birth
  FROM person p JOIN (SELECT person_id, MIN(condition_start_date) AS first_on FROM condition_occurrence GROUP BY person_id) c
    ON c.person_id = p.person_id
), overall (sex, avg_value, min_value, max_value, total) AS (
  SELECT sex, AVG(1.0 * count_value), MIN(count_value), MAX(count_value), COUNT(*) FROM raw GROUP BY sex
), stats (sex, count_value, total, rn) AS (
  SELECT sex, count_value, COUNT(*), ROW_NUMBER() OVER (PARTITION BY sex ORDER BY count_value) FROM raw GROUP BY sex, count_value
), prior (sex, count_value, total, accumulated) AS (
  SELECT s.sex, s.count_value, s.total, SUM(p.total) FROM stats s JOIN stats p ON s.sex = p.sex AND p.rn <= s.rn
  GROUP BY s.sex, s.count_value, s.total, s.rn
)
SELECT o.sex, o.total, o.min_value, o.max_value, o.avg_value,
       MIN(CASE WHEN p.accumulated >= .50 * o.total THEN p.count_value END) AS median_value
FROM prior p JOIN overall o ON p.sex = o.sex
GROUP BY o.sex, o.total, o.min_value, o.max_value, o.avg_value;

-- name: a distribution of all by counts that add up
-- expect: answerable
WITH raw (count_value) AS (SELECT COUNT(*) FROM visit_occurrence GROUP BY person_id),
overall (total, most) AS (SELECT COUNT(*), MAX(count_value) FROM raw),
stats (count_value, total, rn) AS (SELECT count_value, COUNT(*), ROW_NUMBER() OVER (ORDER BY count_value) FROM raw GROUP BY count_value),
prior (count_value, accumulated) AS (
  SELECT s.count_value, SUM(p.total) FROM stats s JOIN stats p ON p.rn <= s.rn GROUP BY s.count_value, s.total, s.rn)
SELECT o.total, MIN(CASE WHEN p.accumulated >= .9 * o.total THEN p.count_value ELSE o.most END) AS p90
FROM prior p CROSS JOIN overall o GROUP BY o.total, o.most;

-- name: a sum that grows from person to person
-- expect: must-refuse
SELECT MAX(running) AS most FROM (SELECT SUM(v) OVER (ORDER BY v) AS running FROM
  (SELECT person_id, COUNT(*) AS v FROM visit_occurrence GROUP BY person_id) a) b;

-- name: half of the names are no longer than
-- expect: public-only
WITH raw AS (SELECT LENGTH(concept_name) AS len FROM concept),
stats AS (SELECT len, COUNT(*) AS total, ROW_NUMBER() OVER (ORDER BY len) AS rn FROM raw GROUP BY len)
SELECT MIN(CASE WHEN p.accumulated >= .5 * o.total THEN p.len END) AS median_length
FROM (SELECT s.len, SUM(p.total) AS accumulated FROM stats s JOIN stats p ON p.rn <= s.rn GROUP BY s.len) p
CROSS JOIN (SELECT COUNT(*) AS total FROM raw) o;

-- name: persons observed at the start of each quarter, a question for each row
-- expect: answerable
SELECT q.qs AS quarter,
       (SELECT COUNT(DISTINCT op.person_id) FROM observation_period op
         WHERE op.observation_period_start_date <= q.qs AND op.observation_period_end_date >= q.qs) AS present,
       (SELECT COUNT(*) FROM visit_occurrence v WHERE date_trunc('quarter', v.visit_start_date) = q.qs) AS visits
FROM generate_series(TIMESTAMP '2023-01-01', TIMESTAMP '2024-10-01', INTERVAL '3 months') AS q(qs)
ORDER BY q.qs;
-- plain:
SELECT a.qs AS quarter, a.present, b.visits FROM
  (SELECT q.qs, COUNT(DISTINCT op.person_id) AS present
   FROM (VALUES (TIMESTAMP '2023-01-01 00:00:00'), (TIMESTAMP '2023-04-01 00:00:00'), (TIMESTAMP '2023-07-01 00:00:00'),
                (TIMESTAMP '2023-10-01 00:00:00'), (TIMESTAMP '2024-01-01 00:00:00'), (TIMESTAMP '2024-04-01 00:00:00'),
                (TIMESTAMP '2024-07-01 00:00:00'), (TIMESTAMP '2024-10-01 00:00:00')) AS q(qs)
   LEFT JOIN observation_period op ON op.observation_period_start_date <= q.qs AND op.observation_period_end_date >= q.qs
   GROUP BY q.qs) a
JOIN
  (SELECT q.qs, COUNT(v.person_id) AS visits
   FROM (VALUES (TIMESTAMP '2023-01-01 00:00:00'), (TIMESTAMP '2023-04-01 00:00:00'), (TIMESTAMP '2023-07-01 00:00:00'),
                (TIMESTAMP '2023-10-01 00:00:00'), (TIMESTAMP '2024-01-01 00:00:00'), (TIMESTAMP '2024-04-01 00:00:00'),
                (TIMESTAMP '2024-07-01 00:00:00'), (TIMESTAMP '2024-10-01 00:00:00')) AS q(qs)
   LEFT JOIN visit_occurrence v ON date_trunc('quarter', CAST(v.visit_start_date AS TIMESTAMP)) = q.qs
   GROUP BY q.qs) b ON b.qs = a.qs ORDER BY 1;

-- name: attrition as rows of questions
-- expect: answerable
SELECT v.step, v.n FROM (VALUES
  (1, 'all', (SELECT COUNT(*) FROM person)),
  (2, 'visited', (SELECT COUNT(DISTINCT person_id) FROM visit_occurrence)),
  (3, 'admitted', (SELECT COUNT(DISTINCT person_id) FROM visit_occurrence WHERE visit_concept_id = 9201))) v(ord, step, n)
ORDER BY v.ord;
-- plain:
SELECT 'all' AS step, COUNT(*) AS n FROM person
UNION ALL SELECT 'visited', COUNT(DISTINCT person_id) FROM visit_occurrence
UNION ALL SELECT 'admitted', COUNT(DISTINCT person_id) FROM visit_occurrence WHERE visit_concept_id = 9201;

-- name: whatever is not that, and more
-- expect: answerable
SELECT COUNT(*) AS n FROM visit_occurrence v
WHERE (v.visit_concept_id = 9201) IS DISTINCT FROM TRUE AND v.visit_start_date < DATE '1900-06-01'
   OR v.visit_concept_id IS NOT DISTINCT FROM 9203 AND v.visit_start_date >= DATE '2023-01-01';
-- plain:
SELECT COUNT(*) AS n FROM visit_occurrence v
WHERE (NOT COALESCE(v.visit_concept_id = 9201, FALSE) AND v.visit_start_date < DATE '1900-06-01')
   OR (v.visit_concept_id = 9203 AND v.visit_start_date >= DATE '2023-01-01');

-- name: person-years without the first of them
-- expect: answerable
SELECT p.gender_concept_id,
       SUM(EXTRACT(EPOCH FROM (op.observation_period_end_date - (op.observation_period_start_date + INTERVAL '1 year'))) / 86400 / 365.25) AS py
FROM observation_period op JOIN person p ON p.person_id = op.person_id
WHERE op.observation_period_end_date > op.observation_period_start_date + INTERVAL '1 year'
GROUP BY p.gender_concept_id;

-- name: decades that a condition on an age leaves
-- expect: answerable
SELECT (2024 - p.year_of_birth) / 10 * 10 AS decade, COUNT(*) AS n
FROM person p WHERE 2024 - p.year_of_birth BETWEEN 40 AND 69 GROUP BY 1 ORDER BY 1;

-- name: concepts that hang beneath a class
-- expect: public-only
SELECT c.concept_class_id, (SELECT COUNT(*) FROM concept d WHERE d.concept_class_id = c.concept_class_id) AS n
FROM (SELECT DISTINCT concept_class_id FROM concept) c ORDER BY 1;

-- name: names that are not that
-- expect: public-only
SELECT COUNT(*) AS n FROM concept WHERE standard_concept IS DISTINCT FROM 'S' AND concept_id > 0;

-- name: a person for each row of a list
-- expect: must-refuse
SELECT y.y, (SELECT p.person_id FROM person p WHERE p.year_of_birth = y.y ORDER BY p.person_id LIMIT 1) AS whom
FROM (VALUES (1931), (1932)) AS y(y);

-- name: rows of questions about persons
-- expect: must-refuse
SELECT v.whose FROM (VALUES (1, (SELECT MIN(person_id) FROM person)), (2, (SELECT MAX(person_id) FROM person))) v(n, whose);

-- name: days of a difference in brackets
-- expect: answerable
SELECT COUNT(*) AS n, AVG(EXTRACT(DAY FROM (v.visit_end_date - v.visit_start_date))) AS days FROM visit_occurrence v;
-- plain:
SELECT COUNT(*) AS n, AVG(CAST(v.visit_end_date AS INT) - CAST(v.visit_start_date AS INT)) AS days FROM visit_occurrence v;

-- name: days of this year as a list
-- expect: public-only
SELECT EXTRACT(MONTH FROM d.d) AS m, COUNT(*) AS days
FROM (VALUES (DATE '2024-01-01'), (DATE '2024-01-02'), (DATE '2024-03-31')) AS d(d) GROUP BY 1 ORDER BY 1;

-- name: rows of questions about concepts
-- expect: public-only
SELECT v.what, v.n FROM (VALUES ('all', (SELECT COUNT(*) FROM concept)), ('standard', (SELECT COUNT(*) FROM concept WHERE standard_concept = 'S'))) v(what, n)
ORDER BY 1;

-- name: last visit of each person beside a list
-- expect: must-refuse
SELECT d.d, (SELECT MAX(v.visit_occurrence_id) FROM visit_occurrence v WHERE v.visit_start_date = d.d) AS latest
FROM (VALUES (DATE '2024-01-01')) AS d(d);

-- name: exact epochs of one admission
-- expect: must-refuse
SELECT EXTRACT(EPOCH FROM (visit_end_date - visit_start_date)) FROM visit_occurrence ORDER BY visit_start_date LIMIT 1;

-- name: nobody beside them
-- expect: answerable
SELECT p.gender_concept_id, COUNT(*) AS n, COUNT(d.person_id) AS none, COUNT(DISTINCT p.person_id) AS persons
FROM person p LEFT JOIN drug_exposure d ON d.person_id = p.person_id AND d.drug_concept_id = 1545958
WHERE d.person_id IS NULL AND p.year_of_birth < 1990 GROUP BY p.gender_concept_id;

-- name: ordered by what the answer hides
-- expect: answerable
WITH raw AS (SELECT p.year_of_birth AS stratum, COUNT(*) AS n FROM person p GROUP BY p.year_of_birth)
SELECT 101 AS analysis_id, CAST(stratum AS VARCHAR(255)) AS stratum, n FROM raw ORDER BY raw.stratum;

-- name: whoever is not known to be late
-- expect: answerable
SELECT COUNT(*) AS n, COUNT(v.discharged_to_concept_id) AS known FROM visit_occurrence v
WHERE COALESCE(v.discharged_to_concept_id, 0) = 0 AND (v.visit_end_date IS NULL OR EXTRACT(YEAR FROM v.visit_end_date) > 2022);
