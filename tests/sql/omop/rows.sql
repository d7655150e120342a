-- name: all persons
-- expect: must-refuse
-- code: rows_not_released
SELECT * FROM person;

-- name: first rows
-- expect: must-refuse
SELECT * FROM person LIMIT 10;

-- name: first rows of a join
-- expect: must-refuse
SELECT p.person_id, p.year_of_birth, c.condition_start_date FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id ORDER BY c.condition_start_date LIMIT 100;

-- name: one person
-- expect: must-refuse
SELECT * FROM person WHERE person_id = 42;

-- name: history of one person
-- expect: must-refuse
SELECT condition_concept_id, condition_start_date FROM condition_occurrence WHERE person_id = 42 ORDER BY condition_start_date;

-- name: count of one person
-- expect: must-refuse
SELECT COUNT(*) FROM condition_occurrence WHERE person_id = 42;

-- name: count of three persons
-- expect: must-refuse
SELECT COUNT(*) FROM drug_exposure WHERE person_id IN (1, 2, 3);

-- name: count of a range of persons
-- expect: must-refuse
SELECT COUNT(*) FROM person WHERE person_id BETWEEN 10 AND 12;

-- name: parity of the key
-- expect: must-refuse
SELECT person_id % 100 AS slice, COUNT(*) FROM person GROUP BY person_id % 100;

-- name: key as text
-- expect: must-refuse
SELECT COUNT(*) FROM person WHERE CAST(person_id AS VARCHAR) LIKE '12%';

-- name: key in a case
-- expect: must-refuse
SELECT SUM(CASE WHEN person_id = 7 THEN 1 ELSE 0 END) FROM person;

-- name: key in a filter of an aggregate
-- expect: must-refuse
SELECT COUNT(*) FILTER (WHERE person_id = 7) AS is_there FROM death;

-- name: least key
-- expect: must-refuse
SELECT MIN(person_id), MAX(person_id) FROM person;

-- name: sum of keys
-- expect: must-refuse
SELECT SUM(person_id) FROM person WHERE year_of_birth = 1950;

-- name: average key
-- expect: must-refuse
SELECT AVG(person_id) FROM drug_exposure;

-- name: persons of a rare condition
-- expect: must-refuse
-- code: rows_not_released
SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 381316;

-- name: keys by group
-- expect: must-refuse
-- code: rows_not_released
SELECT person_id, COUNT(*) AS n FROM visit_occurrence GROUP BY person_id ORDER BY n DESC;

-- name: keys with having
-- expect: must-refuse
-- code: rows_not_released
SELECT person_id FROM condition_occurrence GROUP BY person_id HAVING COUNT(*) > 10;

-- name: key and first date
-- expect: must-refuse
-- code: rows_not_released
SELECT person_id, MIN(drug_exposure_start_date) AS first_rx FROM drug_exposure GROUP BY person_id;

-- name: row numbers over persons
-- expect: must-refuse
SELECT * FROM (SELECT p.*, ROW_NUMBER() OVER (ORDER BY year_of_birth) AS rn FROM person p) t WHERE rn <= 5;

-- name: latest row per person
-- expect: must-refuse
-- code: rows_not_released
SELECT * FROM (SELECT m.*, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY measurement_date DESC) AS rn FROM measurement m) t WHERE rn = 1;

-- name: distinct on
-- expect: must-refuse
-- code: rows_not_released
SELECT DISTINCT ON (person_id) person_id, visit_start_date FROM visit_occurrence ORDER BY person_id, visit_start_date;

-- name: hidden behind a cte
-- expect: must-refuse
-- code: rows_not_released
WITH x AS (SELECT person_id, gender_concept_id, year_of_birth FROM person), y AS (SELECT * FROM x WHERE year_of_birth < 1940) SELECT gender_concept_id, year_of_birth FROM y;

-- name: hidden behind a union
-- expect: must-refuse
SELECT COUNT(*) AS n FROM person UNION ALL SELECT year_of_birth FROM person;

-- name: aggregate beside rows
-- expect: must-refuse
SELECT p.year_of_birth, (SELECT COUNT(*) FROM person) AS n FROM person p;

-- name: window beside rows
-- expect: must-refuse
SELECT year_of_birth, COUNT(*) OVER (PARTITION BY gender_concept_id) FROM person;

-- name: window average beside rows
-- expect: must-refuse
-- code: rows_not_released
SELECT person_id, value_as_number - AVG(LEAST(GREATEST(value_as_number, 0), 300)) OVER (PARTITION BY person_id) AS deviation FROM measurement;

-- name: list of keys in one text
-- expect: must-refuse
SELECT STRING_AGG(CAST(person_id AS VARCHAR), ',') FROM death;

-- name: list of values in one text
-- expect: must-refuse
SELECT STRING_AGG(year_of_birth::text, ',') FROM person WHERE gender_concept_id = 8532;

-- name: array of keys
-- expect: must-refuse
SELECT ARRAY_AGG(person_id) FROM condition_occurrence WHERE condition_concept_id = 312327;

-- name: array of values
-- expect: must-refuse
SELECT gender_concept_id, ARRAY_AGG(year_of_birth) FROM person GROUP BY gender_concept_id;

-- name: first value of all
-- expect: must-refuse
SELECT FIRST_VALUE(year_of_birth ORDER BY birth_datetime) FROM person;

-- name: any value
-- expect: must-refuse
SELECT ANY_VALUE(death_date) FROM death;

-- name: nth value of all
-- expect: must-refuse
SELECT NTH_VALUE(year_of_birth, 3) OVER (ORDER BY year_of_birth) FROM person;

-- name: is anybody there
-- expect: must-refuse
SELECT EXISTS (SELECT 1 FROM person WHERE year_of_birth = 1931 AND gender_concept_id = 8532) AS anybody;

-- name: scalar subquery of one row
-- expect: must-refuse
SELECT (SELECT birth_datetime FROM person WHERE year_of_birth = 1931 LIMIT 1) AS born;

-- name: rows chosen by a limit inside
-- expect: must-refuse
SELECT AVG(year_of_birth) FROM (SELECT year_of_birth FROM person LIMIT 1) t;

-- name: rows chosen by offset
-- expect: must-refuse
SELECT COUNT(*) FROM (SELECT * FROM person ORDER BY birth_datetime OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY) t WHERE t.gender_concept_id = 8507;

-- name: oldest person
-- expect: must-refuse
SELECT gender_concept_id FROM person ORDER BY year_of_birth LIMIT 1;

-- name: whoever was born first
-- expect: must-refuse
-- code: function_not_allowed
SELECT p.* FROM person p WHERE p.birth_datetime = (SELECT MIN(birth_datetime) FROM person);

-- name: persons who share a birthday
-- expect: must-refuse
SELECT COUNT(*) FROM person a JOIN person b ON a.birth_datetime = b.birth_datetime AND a.person_id < b.person_id;

-- name: neighbours by place
-- expect: must-refuse
SELECT COUNT(*) FROM person a JOIN person b ON a.location_id = b.location_id WHERE a.person_id <> b.person_id;

-- name: persons of the same provider
-- expect: must-refuse
SELECT COUNT(*) FROM visit_occurrence a, visit_occurrence b WHERE a.provider_id = b.provider_id AND a.visit_start_date = b.visit_start_date;

-- name: cross join of persons
-- expect: must-refuse
SELECT COUNT(*) FROM person a CROSS JOIN person b WHERE a.year_of_birth > b.year_of_birth;

-- name: compared with another's value
-- expect: must-refuse
SELECT COUNT(*) FROM person p WHERE p.year_of_birth < ALL (SELECT q.year_of_birth FROM person q WHERE q.gender_concept_id = 8532);

-- name: in values of others
-- expect: must-refuse
SELECT COUNT(*) FROM death WHERE death_date IN (SELECT visit_start_date FROM visit_occurrence);

-- name: global rank inside
-- expect: must-refuse
SELECT COUNT(*) FROM (SELECT RANK() OVER (ORDER BY n DESC) AS r FROM (SELECT person_id, COUNT(*) AS n FROM visit_occurrence GROUP BY person_id) a) b WHERE r = 1;

-- name: visit by its number
-- expect: must-refuse
SELECT COUNT(*) FROM visit_occurrence WHERE visit_occurrence_id = 1001;

-- name: visits as rows
-- expect: must-refuse
-- code: rows_not_released
SELECT visit_occurrence_id, visit_start_date, visit_end_date FROM visit_occurrence;

-- name: visits by number with counts
-- expect: must-refuse
SELECT visit_occurrence_id, COUNT(*) FROM condition_occurrence GROUP BY visit_occurrence_id;

-- name: link with its count above
-- expect: must-refuse
SELECT visit_occurrence_id, COUNT(*) FROM condition_occurrence WHERE visit_occurrence_id IS NOT NULL GROUP BY visit_occurrence_id ORDER BY 2 DESC LIMIT 1;

-- name: identifier as written in the source
-- expect: must-refuse
SELECT person_source_value FROM person;

-- name: source value as a condition
-- expect: must-refuse
SELECT COUNT(*) FROM person WHERE person_source_value = 'A-0815';

-- name: postal code
-- expect: must-refuse
SELECT l.zip, COUNT(*) FROM person p JOIN location l ON l.location_id = p.location_id GROUP BY l.zip;

-- name: free text
-- expect: must-refuse
SELECT note_text FROM note WHERE note_text ILIKE '%smoker%';

-- name: terms of the text
-- expect: must-refuse
SELECT lexical_variant, COUNT(*) FROM note_nlp GROUP BY lexical_variant;

-- name: costs
-- expect: must-refuse
SELECT cost_domain_id, SUM(total_charge) FROM cost GROUP BY cost_domain_id;

-- name: relations between persons
-- expect: must-refuse
SELECT COUNT(*) FROM fact_relationship WHERE domain_concept_id_1 = 56 AND domain_concept_id_2 = 56;

-- name: sites alone
-- expect: must-refuse
SELECT COUNT(*) FROM care_site;

-- name: providers as rows
-- expect: must-refuse
SELECT provider_id, specialty_concept_id FROM provider;

-- name: places as rows
-- expect: must-refuse
SELECT city, state FROM location;

-- name: places that somebody lives in
-- expect: must-refuse
SELECT l.* FROM location l WHERE EXISTS (SELECT 1 FROM person p WHERE p.location_id = l.location_id);

-- name: concepts that somebody has
-- expect: must-refuse
SELECT c.concept_id, c.concept_name FROM concept c WHERE c.concept_id IN (SELECT condition_concept_id FROM condition_occurrence);

-- name: concepts that nobody has
-- expect: must-refuse
SELECT c.concept_id FROM concept c LEFT JOIN condition_occurrence o ON o.condition_concept_id = c.concept_id WHERE o.person_id IS NULL;

-- name: concept rows repeated per person
-- expect: must-refuse
SELECT c.concept_name, o.condition_start_date FROM concept c LEFT JOIN condition_occurrence o ON o.condition_concept_id = c.concept_id;

-- name: a sample
-- expect: must-refuse
SELECT COUNT(*) FROM person TABLESAMPLE BERNOULLI (1);

-- name: random order
-- expect: must-refuse
SELECT person_id FROM person ORDER BY RANDOM() LIMIT 5;

-- name: random condition
-- expect: must-refuse
SELECT COUNT(*) FROM person WHERE RANDOM() < 0.5;

-- name: hash of the key
-- expect: must-refuse
SELECT MD5(CAST(person_id AS VARCHAR)) FROM person;

-- name: rows as json
-- expect: must-refuse
SELECT ROW_TO_JSON(p) FROM person p;

-- name: json of an aggregate
-- expect: must-refuse
SELECT JSON_AGG(person_id) FROM person;

-- name: make a table
-- expect: must-refuse
-- code: not_a_question
CREATE TABLE mine AS SELECT * FROM person;

-- name: a temporary cohort
-- expect: must-refuse
-- code: not_a_question
CREATE TEMP TABLE cohort AS SELECT person_id FROM death;

-- name: into a table
-- expect: must-refuse
SELECT * INTO mine FROM person;

-- name: put into a cohort
-- expect: must-refuse
-- code: not_a_question
INSERT INTO cohort SELECT 1, person_id, death_date, death_date FROM death;

-- name: take rows away
-- expect: must-refuse
-- code: not_a_question
DELETE FROM person WHERE person_id = 1;

-- name: change a row
-- expect: must-refuse
-- code: not_a_question
UPDATE person SET year_of_birth = 1900 WHERE person_id = 1;

-- name: copy to a file
-- expect: must-refuse
-- code: not_a_question
COPY (SELECT * FROM person) TO '/tmp/persons.csv';

-- name: two statements
-- expect: must-refuse
-- code: not_a_question
SELECT COUNT(*) FROM person; SELECT * FROM person;

-- name: explain with a run
-- expect: must-refuse
-- code: not_a_question
EXPLAIN ANALYZE SELECT COUNT(*) FROM person;

-- name: names of tables of the engine
-- expect: must-refuse
-- code: unknown_table
SELECT table_name FROM information_schema.tables;

-- name: statistics of the engine
-- expect: must-refuse
-- code: unknown_table
SELECT reltuples FROM pg_catalog.pg_class WHERE relname = 'person';

-- name: cohort table of another tool
-- expect: must-refuse
-- code: unknown_table
SELECT COUNT(DISTINCT subject_id) FROM cohort WHERE cohort_definition_id = 7;

-- name: recursive over persons
-- expect: must-refuse
WITH RECURSIVE chain AS (SELECT visit_occurrence_id, 1 AS n FROM visit_occurrence WHERE preceding_visit_occurrence_id IS NULL UNION ALL SELECT v.visit_occurrence_id, c.n + 1 FROM chain c JOIN visit_occurrence v ON v.preceding_visit_occurrence_id = c.visit_occurrence_id) SELECT MAX(n) FROM chain;

-- name: error that tells
-- expect: must-refuse
SELECT COUNT(*) FROM person WHERE 1 / (year_of_birth - 1950) > 0 AND CAST(person_id AS INT) = 3;

-- name: sleep if there
-- expect: must-refuse
SELECT CASE WHEN year_of_birth = 1950 THEN pg_sleep(5) END FROM person;

-- name: group by a key under another name
-- expect: must-refuse
-- code: rows_not_released
SELECT k, COUNT(*) FROM (SELECT person_id AS k, visit_concept_id FROM visit_occurrence) t GROUP BY k;

-- name: group by the key and more
-- expect: must-refuse
-- code: rows_not_released
SELECT v.person_id, v.visit_concept_id, COUNT(*) FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id GROUP BY v.person_id, v.visit_concept_id;

-- name: grouping sets with the key
-- expect: must-refuse
SELECT person_id, gender_concept_id, COUNT(*) FROM person GROUP BY GROUPING SETS ((person_id), (gender_concept_id));

-- name: walk that may never end, over nobody
-- expect: must-refuse
-- code: function_not_allowed
WITH RECURSIVE up AS (
  SELECT concept_id_1 AS concept_id, concept_id_2 AS parent_id, 1 AS level FROM concept_relationship WHERE relationship_id = 'Is a' AND concept_id_1 = 201826
  UNION ALL
  SELECT u.concept_id, r.concept_id_2, u.level + 1 FROM up u JOIN concept_relationship r ON r.concept_id_1 = u.parent_id AND r.relationship_id = 'Is a' WHERE u.level < 10
)
SELECT DISTINCT parent_id, level FROM up ORDER BY level, parent_id;
