-- name: persons by sex
-- expect: answerable
SELECT c.concept_name AS sex, COUNT(*) AS persons, MIN(p.year_of_birth) AS first_year, MAX(p.year_of_birth) AS last_year FROM person p JOIN concept c ON c.concept_id = p.gender_concept_id GROUP BY c.concept_name;

-- name: persons by year of birth and sex in one pivot
-- expect: answerable
SELECT year_of_birth,
       SUM(CASE WHEN gender_concept_id = 8507 THEN 1 ELSE 0 END) AS male,
       SUM(CASE WHEN gender_concept_id = 8532 THEN 1 ELSE 0 END) AS female,
       COUNT(*) AS total
FROM person GROUP BY year_of_birth ORDER BY year_of_birth;

-- name: age today in classes
-- expect: answerable
SELECT CASE WHEN age BETWEEN 0 AND 17 THEN '0-17' WHEN age BETWEEN 18 AND 64 THEN '18-64' WHEN age >= 65 THEN '65+' ELSE 'unknown' END AS age_class,
       COUNT(*) AS persons, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER (), 1) AS pct
FROM (SELECT EXTRACT(YEAR FROM CURRENT_DATE) - year_of_birth AS age FROM person) a
GROUP BY 1;
-- plain:
SELECT CASE WHEN age BETWEEN 0 AND 17 THEN '0-17' WHEN age BETWEEN 18 AND 64 THEN '18-64' WHEN age >= 65 THEN '65+' ELSE 'unknown' END AS age_class,
       COUNT(*) AS persons, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER (), 1) AS pct
FROM (SELECT 2024 - year_of_birth AS age FROM person) a
GROUP BY 1;

-- name: race and ethnicity as strata
-- expect: answerable
SELECT 4 AS analysis_id, CAST(race_concept_id AS VARCHAR(255)) AS stratum_1, CAST(NULL AS VARCHAR(255)) AS stratum_2, COUNT_BIG(person_id) AS count_value
FROM person GROUP BY race_concept_id
UNION ALL
SELECT 5, CAST(ethnicity_concept_id AS VARCHAR(255)), CAST(NULL AS VARCHAR(255)), COUNT_BIG(person_id)
FROM person GROUP BY ethnicity_concept_id;

-- name: mean age with spread
-- expect: answerable
SELECT gender_concept_id, AVG(2024 - year_of_birth) AS mean_age, STDDEV_POP(2024 - year_of_birth) AS sd, VAR_SAMP(2024 - year_of_birth) AS variance,
       MIN(year_of_birth) AS oldest, MAX(year_of_birth) AS youngest
FROM person GROUP BY gender_concept_id;

-- name: by state and county
-- expect: answerable
SELECT l.state, l.county, COUNT(*) AS persons
FROM person p INNER JOIN location l ON p.location_id = l.location_id
GROUP BY l.state, l.county ORDER BY persons DESC;

-- name: by place number
-- expect: answerable
SELECT location_id, COUNT(*) AS persons FROM person WHERE location_id IS NOT NULL GROUP BY location_id;

-- name: without any record
-- expect: answerable
SELECT COUNT(*) AS persons
FROM person p
WHERE NOT EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = p.person_id)
  AND p.person_id NOT IN (SELECT person_id FROM condition_occurrence)
  AND p.person_id NOT IN (SELECT person_id FROM drug_exposure);

-- name: month of birth
-- expect: answerable
SELECT COALESCE(month_of_birth, 0) AS mob, COUNT(*) AS n FROM person GROUP BY COALESCE(month_of_birth, 0);

-- name: born by date from parts
-- expect: answerable
SELECT EXTRACT(QUARTER FROM MAKE_DATE(year_of_birth::int, COALESCE(month_of_birth, 7)::int, COALESCE(day_of_birth, 1)::int)) AS q, COUNT(*) AS n
FROM person GROUP BY 1;

-- name: domains in which a person has records
-- expect: answerable
SELECT n_domains, COUNT(*) AS persons
FROM (
    SELECT person_id, COUNT(DISTINCT domain) AS n_domains
    FROM (
        SELECT person_id, 'condition' AS domain FROM condition_occurrence
        UNION ALL SELECT person_id, 'drug' FROM drug_exposure
        UNION ALL SELECT person_id, 'procedure' FROM procedure_occurrence
        UNION ALL SELECT person_id, 'measurement' FROM measurement
        UNION ALL SELECT person_id, 'observation' FROM observation
    ) d
    GROUP BY person_id
) t
GROUP BY n_domains;

-- name: smoking status by age class
-- expect: answerable
SELECT CASE WHEN 2020 - p.year_of_birth >= 65 THEN 'old' ELSE 'young' END AS age_class, o.value_as_concept_id, COUNT(DISTINCT p.person_id) AS persons
FROM person p JOIN observation o ON o.person_id = p.person_id
WHERE o.observation_concept_id IN (4275495, 4310250, 4298794)
GROUP BY 1, 2;
