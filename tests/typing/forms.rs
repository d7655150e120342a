//! What becomes of the questions that researchers write?

/// Typed and planned.
pub const ANSWERED: &[&str] = &[
    // Windows over all persons, also in a WITH that is read often.
    "SELECT gender_concept_id, COUNT(*) FROM (SELECT gender_concept_id, (year_of_birth - AVG(year_of_birth) OVER ()) / \
     STDDEV(year_of_birth) OVER () AS z FROM person) t WHERE z > 1 GROUP BY 1",
    "SELECT decile, SUM(LEAST(v, 100)) FROM (SELECT v, NTILE(10) OVER (ORDER BY v DESC) AS decile FROM \
     (SELECT person_id, COUNT(*) AS v FROM visit_occurrence GROUP BY person_id) a) t GROUP BY decile",
    "WITH z AS (SELECT year_of_birth, year_of_birth - AVG(year_of_birth) OVER (PARTITION BY gender_concept_id) AS d FROM person) \
     SELECT (SELECT COUNT(*) FROM z WHERE d > 0) AS a, (SELECT COUNT(*) FROM z WHERE d > 5) AS b, (SELECT COUNT(*) FROM z WHERE d > 10) AS c, \
     (SELECT COUNT(*) FROM z WHERE d > 15) AS e",
    // Tables known from the records alone, compared and joined.
    "SELECT COUNT(*) FROM person WHERE location_id IN (SELECT location_id FROM location WHERE state = 'Tokyo')",
    "SELECT COUNT(*) FROM person WHERE location_id NOT IN (SELECT location_id FROM location WHERE state LIKE 'T%')",
    "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT 1 FROM location l WHERE l.location_id = p.location_id AND l.state <> 'Tokyo')",
    "SELECT l.state, COUNT(*) FROM person p LEFT JOIN (SELECT location_id, state FROM location WHERE state IS NOT NULL) l \
     ON l.location_id = p.location_id GROUP BY 1",
    // Joins of persons.
    "SELECT p.gender_concept_id, COUNT(DISTINCT p.person_id) FROM person p LEFT JOIN death d ON d.person_id = p.person_id \
     WHERE d.person_id IS NULL GROUP BY 1",
    "SELECT p.gender_concept_id, COUNT(DISTINCT p.person_id) AS all_persons, COUNT(DISTINCT d.person_id) AS dead \
     FROM person p LEFT JOIN death d ON d.person_id = p.person_id GROUP BY p.gender_concept_id",
    "SELECT COUNT(*) FROM condition_occurrence c JOIN drug_exposure d ON d.person_id = c.person_id \
     AND d.drug_exposure_start_date - c.condition_start_date BETWEEN 0 AND 30",
    "SELECT v.visit_concept_id, COUNT(*) FROM drug_exposure d JOIN visit_occurrence v \
     ON v.visit_occurrence_id = d.visit_occurrence_id GROUP BY 1",
    "SELECT v.visit_concept_id, COUNT(*) FROM visit_occurrence v LEFT JOIN condition_occurrence c \
     USING (visit_occurrence_id) WHERE c.condition_occurrence_id IS NULL GROUP BY 1",
    "SELECT COUNT(*) FROM condition_occurrence c, drug_exposure d WHERE c.visit_occurrence_id = d.visit_occurrence_id \
     AND c.condition_concept_id = 201826",
    "SELECT COUNT(DISTINCT COALESCE(a.person_id, b.person_id)) FROM (SELECT DISTINCT person_id FROM drug_era) a \
     FULL OUTER JOIN (SELECT DISTINCT person_id FROM condition_era) b ON a.person_id = b.person_id",
    "SELECT (a.person_id IS NOT NULL) AS drug, (b.person_id IS NOT NULL) AS condition, COUNT(*) FROM \
     (SELECT DISTINCT person_id FROM drug_era) a FULL JOIN (SELECT DISTINCT person_id FROM condition_era) b \
     ON a.person_id = b.person_id GROUP BY 1, 2",
    "SELECT c1.condition_concept_id, c2.condition_concept_id, COUNT(DISTINCT c1.person_id) AS n FROM condition_era c1 \
     JOIN condition_era c2 ON c1.person_id = c2.person_id AND c1.condition_concept_id < c2.condition_concept_id GROUP BY 1, 2",
    "SELECT COUNT(*) FROM condition_occurrence a JOIN condition_occurrence b ON a.person_id = b.person_id \
     AND a.condition_occurrence_id <> b.condition_occurrence_id",
    // Semi and anti joins, subqueries.
    "SELECT COUNT(*) FROM person WHERE person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 201826)",
    "SELECT gender_concept_id, COUNT(*) FROM person WHERE person_id NOT IN (SELECT person_id FROM death) GROUP BY 1",
    "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT 1 FROM drug_exposure d WHERE d.person_id = p.person_id) \
     AND NOT EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826)",
    "SELECT COUNT(DISTINCT d.person_id) FROM drug_exposure d WHERE EXISTS (SELECT 1 FROM condition_occurrence c \
     WHERE c.person_id = d.person_id AND c.condition_start_date <= d.drug_exposure_start_date)",
    "SELECT COUNT(DISTINCT person_id) FROM condition_occurrence WHERE condition_concept_id IN \
     (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826)",
    "SELECT COUNT(*) FROM drug_exposure WHERE drug_concept_id NOT IN (SELECT concept_id FROM concept WHERE domain_id = 'Drug')",
    "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c JOIN concept_ancestor a \
     ON a.descendant_concept_id = c.condition_concept_id WHERE a.ancestor_concept_id = 201826 AND c.person_id = p.person_id)",
    "SELECT COUNT(*) FROM drug_exposure d WHERE EXISTS (SELECT 1 FROM concept_ancestor a WHERE \
     a.descendant_concept_id = d.drug_concept_id AND a.ancestor_concept_id = 21600712)",
    "SELECT COUNT(*) FROM condition_occurrence WHERE condition_concept_id = (SELECT concept_id FROM concept \
     WHERE concept_code = '44054006' AND vocabulary_id = 'SNOMED')",
    "SELECT COUNT(*) FROM condition_occurrence c WHERE c.condition_start_date = (SELECT MIN(x.condition_start_date) \
     FROM condition_occurrence x WHERE x.person_id = c.person_id)",
    "SELECT first_code, COUNT(*) FROM (SELECT p.person_id, (SELECT c.condition_concept_id FROM condition_occurrence c WHERE \
     c.person_id = p.person_id ORDER BY c.condition_start_date LIMIT 1) AS first_code FROM person p) t GROUP BY 1",
    "SELECT n, COUNT(*) FROM (SELECT p.person_id, (SELECT COUNT(*) FROM visit_occurrence v WHERE v.person_id = p.person_id) \
     AS n FROM person p) AS t GROUP BY n",
    "SELECT COUNT(*) FROM (SELECT d.person_id, (SELECT MAX(v.visit_end_date) FROM visit_occurrence v WHERE \
     v.person_id = d.person_id AND v.visit_end_date <= d.death_date) AS last FROM death d) t WHERE last IS NOT NULL",
    "WITH i AS (SELECT person_id, condition_start_date AS idx FROM condition_occurrence WHERE condition_concept_id = 201826) \
     SELECT n, COUNT(*) FROM (SELECT (SELECT COUNT(*) FROM drug_exposure e WHERE e.person_id = i.person_id AND \
     e.drug_exposure_start_date BETWEEN i.idx - 365 AND i.idx) AS n FROM i) t GROUP BY n",
    "SELECT COUNT(*) FROM visit_occurrence v CROSS JOIN LATERAL (SELECT COUNT(*) AS n, MIN(c.condition_start_date) AS d FROM \
     condition_occurrence c WHERE c.person_id = v.person_id AND c.condition_start_date > v.visit_start_date) q WHERE q.n > 1",
    "SELECT y, COUNT(*) FROM death d LEFT JOIN LATERAL (SELECT EXTRACT(YEAR FROM c.condition_start_date) AS y FROM \
     condition_occurrence c WHERE c.person_id = d.person_id AND c.condition_start_date < d.death_date \
     ORDER BY c.condition_start_date DESC LIMIT 1) f ON TRUE GROUP BY y",
    "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id \
     GROUP BY c.person_id HAVING COUNT(*) >= 2)",
    "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT c.condition_concept_id FROM condition_occurrence c WHERE \
     c.person_id = p.person_id GROUP BY c.condition_concept_id HAVING COUNT(*) >= 2)",
    "SELECT SUM(CASE WHEN EXISTS (SELECT 1 FROM death d WHERE d.person_id = p.person_id) THEN 1 ELSE 0 END) FROM person p",
    "SELECT CASE WHEN p.person_id IN (SELECT person_id FROM death) THEN 'dead' ELSE 'alive' END AS state, COUNT(*) \
     FROM person p GROUP BY 1",
    "SELECT person_id IN (SELECT person_id FROM death) AS dead, COUNT(*) FROM person GROUP BY 1",
    "SELECT COUNT(*) FROM drug_exposure WHERE visit_occurrence_id IN (SELECT visit_occurrence_id FROM visit_occurrence \
     WHERE visit_concept_id = 9201)",
    // Windows.
    "SELECT condition_concept_id, COUNT(*) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY person_id \
     ORDER BY condition_start_date, condition_occurrence_id) AS rn FROM condition_occurrence) c WHERE rn = 1 GROUP BY 1",
    "SELECT AVG(least(greatest(gap, 0), 3650)) FROM (SELECT visit_start_date - LAG(visit_start_date) OVER \
     (PARTITION BY person_id ORDER BY visit_start_date) AS gap FROM visit_occurrence) g",
    "SELECT second_line, COUNT(*) FROM (SELECT person_id, LEAD(drug_concept_id) OVER (PARTITION BY person_id ORDER BY \
     drug_era_start_date) AS second_line, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_era_start_date) AS rn \
     FROM drug_era) t WHERE rn = 1 GROUP BY 1",
    "SELECT COUNT(*) FROM (SELECT person_id, COUNT(*) OVER (PARTITION BY person_id) AS n FROM visit_occurrence) v WHERE n > 3",
    "SELECT COUNT(*) FROM (SELECT person_id, SUM(days_supply) OVER (PARTITION BY person_id ORDER BY \
     drug_exposure_start_date ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total FROM drug_exposure) d WHERE total > 90",
    "SELECT first_drug, COUNT(DISTINCT person_id) FROM (SELECT person_id, FIRST_VALUE(drug_concept_id) OVER \
     (PARTITION BY person_id ORDER BY drug_exposure_start_date) AS first_drug FROM drug_exposure) t GROUP BY first_drug",
    "SELECT r, COUNT(*) FROM (SELECT person_id, CAST(DENSE_RANK() OVER (PARTITION BY person_id ORDER BY condition_start_date) \
     AS BIGINT) AS r FROM condition_occurrence) t GROUP BY r",
    "SELECT condition_concept_id, COUNT(*) FROM (SELECT person_id, condition_concept_id FROM condition_occurrence \
     QUALIFY ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY condition_start_date) = 1) t GROUP BY 1",
    "SELECT streak, COUNT(*) FROM (SELECT person_id, COUNT(*) AS streak FROM (SELECT person_id, visit_start_date, \
     ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY visit_start_date) AS rn FROM visit_occurrence) v \
     GROUP BY person_id, rn / 3) s GROUP BY streak",
    "SELECT condition_concept_id, COUNT(*) FROM (SELECT DISTINCT ON (person_id) person_id, condition_concept_id \
     FROM condition_occurrence ORDER BY person_id, condition_start_date) t GROUP BY 1",
    // Sets of rows.
    "SELECT COUNT(*) FROM (SELECT DISTINCT person_id FROM drug_exposure) t",
    "SELECT condition_concept_id, COUNT(*) FROM (SELECT DISTINCT person_id, condition_concept_id FROM condition_occurrence) t \
     GROUP BY condition_concept_id",
    "SELECT COUNT(*) FROM (SELECT person_id FROM drug_exposure UNION SELECT person_id FROM procedure_occurrence) t",
    "SELECT kind, COUNT(*) FROM (SELECT person_id, 'drug' AS kind, drug_exposure_start_date AS day FROM drug_exposure \
     UNION ALL SELECT person_id, 'condition', condition_start_date FROM condition_occurrence) e GROUP BY kind",
    "SELECT COUNT(*) FROM (SELECT person_id FROM drug_era INTERSECT SELECT person_id FROM condition_era) t",
    "SELECT COUNT(*) FROM (SELECT person_id FROM drug_era EXCEPT SELECT person_id FROM death) t",
    // Several levels inside a person.
    "WITH per_visit AS (SELECT person_id, visit_occurrence_id, COUNT(*) AS n FROM measurement GROUP BY person_id, \
     visit_occurrence_id), per_person AS (SELECT person_id, MAX(n) AS most FROM per_visit GROUP BY person_id) \
     SELECT most, COUNT(*) FROM per_person GROUP BY most",
    "SELECT CASE WHEN n = 1 THEN '1' WHEN n <= 5 THEN '2-5' ELSE '6+' END AS bucket, COUNT(*) FROM (SELECT person_id, \
     COUNT(*) AS n FROM visit_occurrence GROUP BY person_id) v GROUP BY 1",
    "SELECT had, COUNT(*) FROM (SELECT person_id, BOOL_OR(condition_concept_id = 201826) AS had FROM condition_occurrence \
     GROUP BY person_id) x GROUP BY had",
    "SELECT first_drug, COUNT(*) FROM (SELECT person_id, FIRST_VALUE(drug_concept_id ORDER BY drug_exposure_start_date) AS \
     first_drug FROM drug_exposure GROUP BY person_id) x GROUP BY first_drug",
    "SELECT first_year, COUNT(*) FROM (SELECT person_id, EXTRACT(YEAR FROM MIN(condition_start_date)) AS first_year \
     FROM condition_occurrence GROUP BY person_id) t GROUP BY first_year",
    "SELECT AVG(a) FROM (SELECT person_id, AVG(days_supply) FILTER (WHERE 1 = 1) AS a FROM drug_exposure GROUP BY person_id) t",
    "SELECT AVG(a) FROM (SELECT person_id, AVG(days_supply) FILTER (WHERE 1 = 2) AS a FROM drug_exposure GROUP BY person_id) t",
    "SELECT AVG(a) FROM (SELECT person_id, AVG(days_supply) FILTER (WHERE NULL) AS a FROM drug_exposure GROUP BY person_id) t",
    "SELECT AVG(days_supply) FILTER (WHERE 1 = 2) FROM drug_exposure",
    // Several releases.
    "SELECT (SELECT COUNT(*) FROM death) * 100.0 / (SELECT COUNT(*) FROM person) AS share",
    "SELECT a.n * 1.0 / b.n AS r FROM (SELECT COUNT(*) AS n FROM death) a CROSS JOIN (SELECT COUNT(*) AS n FROM person) b",
    "WITH c AS (SELECT gender_concept_id AS g, COUNT(*) AS n FROM person GROUP BY 1) SELECT g, n, \
     n * 100.0 / (SELECT SUM(n) FROM c) AS share FROM c",
    "SELECT gender_concept_id, COUNT(*) AS n, COUNT(*) * 100.0 / SUM(COUNT(*)) OVER () AS share FROM person GROUP BY 1",
    "SELECT 'persons' AS what, COUNT(*) FROM person UNION ALL SELECT 'deaths', COUNT(*) FROM death",
    "SELECT c.concept_name, t.n FROM (SELECT condition_concept_id, COUNT(*) AS n FROM condition_occurrence GROUP BY 1) t \
     JOIN concept c ON c.concept_id = t.condition_concept_id ORDER BY t.n DESC LIMIT 10",
    "SELECT COUNT(*) FROM person WHERE year_of_birth > (SELECT AVG(year_of_birth) FROM person)",
    "WITH top AS (SELECT drug_concept_id, COUNT(*) AS n FROM drug_era GROUP BY 1 ORDER BY n DESC LIMIT 5) \
     SELECT p.gender_concept_id, COUNT(*) FROM drug_era d JOIN person p ON p.person_id = d.person_id \
     WHERE d.drug_concept_id IN (SELECT drug_concept_id FROM top) GROUP BY 1",
    "SELECT t.drug_concept_id, p.gender_concept_id, COUNT(*) FROM drug_era d JOIN person p ON p.person_id = d.person_id JOIN \
     (SELECT drug_concept_id, COUNT(*) AS n FROM drug_era GROUP BY 1) t ON t.drug_concept_id = d.drug_concept_id GROUP BY 1, 2",
    // Margins.
    "SELECT gender_concept_id, race_concept_id, COUNT(*) FROM person GROUP BY ROLLUP (gender_concept_id, race_concept_id)",
    "SELECT gender_concept_id, race_concept_id, GROUPING(race_concept_id) AS margin, COUNT(*) FROM person \
     GROUP BY CUBE (gender_concept_id, race_concept_id)",
    "SELECT gender_concept_id, year_of_birth, COUNT(*) FROM person GROUP BY GROUPING SETS ((gender_concept_id), (year_of_birth), ())",
    // Links, lists, LATERAL, distinct groups.
    "SELECT n, COUNT(*) FROM (SELECT visit_occurrence_id, COUNT(*) AS n FROM drug_exposure WHERE visit_occurrence_id IS NOT NULL \
     GROUP BY visit_occurrence_id) v GROUP BY n",
    "SELECT COUNT(*) FROM (SELECT DISTINCT visit_occurrence_id FROM visit_occurrence) v",
    "SELECT COUNT(*) FROM (SELECT ROW_NUMBER() OVER (PARTITION BY visit_occurrence_id ORDER BY visit_start_date) AS rn \
     FROM visit_occurrence) v WHERE rn = 1",
    "SELECT DISTINCT condition_concept_id FROM condition_occurrence",
    "SELECT COUNT(*) FROM (SELECT DISTINCT year_of_birth FROM person) t",
    "SELECT v.y, COUNT(o.person_id) FROM (VALUES (2010), (2011)) AS v(y) LEFT JOIN observation_period o \
     ON EXTRACT(YEAR FROM o.observation_period_start_date) <= v.y GROUP BY v.y",
    "SELECT c.concept_name, COUNT(o.person_id) FROM concept c LEFT JOIN condition_occurrence o \
     ON o.condition_concept_id = c.concept_id WHERE c.domain_id = 'Condition' GROUP BY c.concept_name",
    "SELECT y, COUNT(*) FROM person p LEFT JOIN LATERAL (SELECT EXTRACT(YEAR FROM c.condition_start_date) AS y FROM \
     condition_occurrence c WHERE c.person_id = p.person_id ORDER BY c.condition_start_date LIMIT 1) f ON TRUE GROUP BY y",
    "SELECT path, COUNT(*) FROM (SELECT person_id, STRING_AGG(drug_concept_id::text, '-' ORDER BY drug_era_start_date) AS path \
     FROM drug_era GROUP BY person_id) t GROUP BY path",
    "SELECT care_site_id, COUNT(*) FROM visit_occurrence GROUP BY care_site_id",
    "SELECT AVG(value_as_number) FILTER (WHERE value_as_number BETWEEN 0 AND 300) FROM measurement",
    "SELECT AVG(CASE WHEN value_as_number > 0 AND value_as_number < 300 THEN value_as_number END) FROM measurement",
    "SELECT note_type_concept_id, COUNT(*) FROM note GROUP BY note_type_concept_id",
];

/// Refused, with the word that says why.
pub const REFUSED: &[(&str, &str)] = &[
    // A date less a number is a date, and has no days: nothing reads the number as an instant.
    ("not_a_question", "SELECT AVG(EXTRACT(DAY FROM (drug_exposure_start_date - days_supply))) FROM drug_exposure"),
    ("rows_not_released", "SELECT * FROM person"),
    ("rows_not_released", "SELECT DISTINCT person_id FROM drug_exposure"),
    ("rows_not_released", "SELECT DISTINCT visit_occurrence_id FROM visit_occurrence"),
    // A link that may be NULL: its NULLs are one group of everybody.
    ("function_not_allowed", "SELECT visit_occurrence_id, COUNT(*) FROM drug_exposure GROUP BY visit_occurrence_id"),
    ("function_not_allowed", "SELECT COUNT(*) FROM (SELECT DISTINCT visit_occurrence_id FROM drug_exposure) v"),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT ROW_NUMBER() OVER (PARTITION BY visit_occurrence_id) AS rn FROM drug_exposure) v",
    ),
    ("function_not_allowed", "SELECT STRING_AGG(drug_concept_id::text, ',') FROM drug_era"),
    ("function_not_allowed", "SELECT MAX(CASE WHEN year_of_birth > 1990 THEN person_id END) FROM person"),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM person p CROSS JOIN LATERAL (SELECT d.drug_concept_id FROM drug_era d \
      WHERE d.person_id = p.person_id) l",
    ),
    ("bound_missing", "SELECT AVG(CASE WHEN value_as_number > 0 THEN value_as_number END) FROM measurement"),
    ("unknown_column", "SELECT note_text FROM note"),
    (
        "rows_not_released",
        "SELECT p.person_id, d.death_date FROM person p LEFT JOIN death d ON d.person_id = p.person_id",
    ),
    ("rows_not_released", "SELECT person_id, COUNT(*) FROM visit_occurrence GROUP BY person_id"),
    ("rows_not_released", "SELECT person_id FROM person UNION SELECT person_id FROM death"),
    // A place among all persons, parts too fine, keys that may be missing, and more steps than are walked anew.
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT row_number() OVER (ORDER BY year_of_birth) AS n FROM person) t WHERE n = 1",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT SUM(year_of_birth) OVER (ORDER BY year_of_birth) AS s FROM person) t WHERE s > 1",
    ),
    (
        "persons_mixed",
        "SELECT n, COUNT(*) FROM (SELECT NTILE(1000) OVER (ORDER BY year_of_birth) AS n FROM person) t GROUP BY 1",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT COUNT(*) OVER (PARTITION BY month_of_birth) AS n FROM person) t WHERE n > 5",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT COUNT(*) OVER () AS a FROM (SELECT COUNT(*) OVER () AS b FROM (SELECT COUNT(*) OVER () AS c \
         FROM (SELECT COUNT(*) OVER () AS d FROM person) p) q) r) s WHERE a > 1",
    ),
    ("persons_mixed", "SELECT COUNT(*) FROM person a CROSS JOIN person b"),
    ("persons_mixed", "SELECT COUNT(*) FROM person a JOIN person b ON a.year_of_birth = b.year_of_birth"),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM visit_occurrence a JOIN visit_occurrence b ON a.provider_id = b.provider_id",
    ),
    ("persons_mixed", "SELECT COUNT(*) FROM person WHERE EXISTS (SELECT 1 FROM death)"),
    ("persons_mixed", "SELECT COUNT(*) FROM person WHERE year_of_birth IN (SELECT year_of_birth FROM person)"),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person a WHERE EXISTS (SELECT 1 FROM person b WHERE b.year_of_birth > a.year_of_birth)",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT row_number() OVER (ORDER BY year_of_birth) AS r FROM person) t WHERE r = 1",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT row_number() OVER (PARTITION BY gender_concept_id) AS r FROM person) t WHERE r = 1",
    ),
    ("persons_mixed", "SELECT COUNT(*) FROM (SELECT * FROM person ORDER BY year_of_birth LIMIT 1) t"),
    ("persons_mixed", "SELECT COUNT(*) FROM person WHERE person_id IN (SELECT person_id FROM death LIMIT 1)"),
    // Correlated without the person, or with more around the aggregate than its rule knows.
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT d.person_id, (SELECT MAX(v.visit_end_date) FROM visit_occurrence v WHERE \
      v.visit_end_date <= d.death_date) AS last FROM death d) t WHERE last IS NOT NULL",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT d.person_id, (SELECT MAX(v.visit_end_date) FROM visit_occurrence v WHERE \
      v.person_id >= d.person_id AND v.visit_end_date <= d.death_date) AS last FROM death d) t WHERE last IS NOT NULL",
    ),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM (SELECT (SELECT COUNT(*) FROM visit_occurrence v WHERE v.person_id = d.person_id AND \
      v.visit_end_date < d.death_date HAVING COUNT(*) > 1) AS n FROM death d) t WHERE n > 1",
    ),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM (SELECT (SELECT COUNT(*) FROM visit_occurrence v WHERE v.person_id = d.person_id AND \
      v.visit_end_date < d.death_date LIMIT 1) AS n FROM death d) t WHERE n > 1",
    ),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM (SELECT (SELECT MAX(c.concept_id) FROM concept c WHERE c.concept_id < d.cause_concept_id) AS n \
      FROM death d) t WHERE n > 1",
    ),
    // Owner-or-NULL: a window, a key or a NOT IN over it would mix persons.
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM (SELECT row_number() OVER (PARTITION BY d.person_id) AS r FROM person p LEFT JOIN \
      death d ON d.person_id = p.person_id) t WHERE r = 1",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person WHERE person_id NOT IN (SELECT d.person_id FROM person p LEFT JOIN death d \
      ON d.person_id = p.person_id)",
    ),
    (
        "function_not_allowed",
        "SELECT d.person_id, COUNT(*) FROM person p LEFT JOIN death d ON d.person_id = p.person_id GROUP BY 1",
    ),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM (SELECT d.person_id FROM person p LEFT JOIN death d ON d.person_id = p.person_id \
      INTERSECT SELECT d.person_id FROM person p LEFT JOIN death d ON d.person_id = p.person_id) t",
    ),
    ("function_not_allowed", "SELECT COUNT(*) FROM person WHERE person_id = 12"),
    ("function_not_allowed", "SELECT COUNT(*) FROM person WHERE person_id % 2 = 0"),
    (
        "persons_mixed",
        "SELECT c.concept_name, COUNT(*) FROM concept c LEFT JOIN condition_occurrence o \
      ON o.condition_concept_id = c.concept_id GROUP BY 1",
    ),
    ("persons_mixed", "SELECT COUNT(*) FROM (SELECT person_id FROM person UNION ALL SELECT 1) t"),
    ("persons_mixed", "SELECT COUNT(*) FROM care_site"),
    // A table that is known from the records alone is compared and joined, so that nothing in it can fail or take long.
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person p JOIN (SELECT location_id, 1 / (CASE WHEN state = 'Tokyo' THEN 0 ELSE 1 END) AS z \
      FROM location) l ON l.location_id = p.location_id WHERE z > 0",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person WHERE location_id IN (SELECT location_id FROM location WHERE CAST(state AS BIGINT) > 0)",
    ),
    ("persons_mixed", "SELECT COUNT(*) FROM person WHERE (SELECT COUNT(*) FROM location WHERE state = 'Tokyo') > 0"),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person WHERE location_id IN (SELECT location_id FROM location WHERE upper(state) = 'TOKYO')",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person p WHERE (SELECT SUM(1 / (CASE WHEN l.state = 'Tokyo' THEN 0 ELSE 1 END)) FROM location l \
      WHERE l.location_id = p.location_id) > 0",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person p WHERE EXISTS (SELECT 1 FROM location l \
      WHERE 1 / (CASE WHEN l.state = 'Tokyo' THEN 0 ELSE 1 END) = p.year_of_birth)",
    ),
    (
        "persons_mixed",
        "SELECT COUNT(*) FROM person WHERE location_id IN (SELECT location_id FROM location \
      WHERE TRY_CAST(state AS TIMESTAMP) IS NULL)",
    ),
    (
        "function_not_allowed",
        "SELECT COUNT(*) FROM visit_occurrence WHERE date_trunc('decade', visit_start_date) IS NULL",
    ),
];
