-- name: inclusion and exclusion in one query
-- expect: answerable
WITH cases AS (
    SELECT person_id, MIN(condition_start_date) AS index_date
    FROM condition_occurrence WHERE condition_concept_id IN (201826, 432867)
    GROUP BY person_id
), adults AS (
    SELECT c.person_id, c.index_date FROM cases c JOIN person p ON p.person_id = c.person_id
    WHERE EXTRACT(YEAR FROM c.index_date) - p.year_of_birth >= 18
), observed AS (
    SELECT a.* FROM adults a JOIN observation_period op ON op.person_id = a.person_id
    WHERE a.index_date - op.observation_period_start_date >= 365 AND op.observation_period_end_date >= a.index_date
), clean AS (
    SELECT o.* FROM observed o
    WHERE NOT EXISTS (SELECT 1 FROM condition_occurrence x WHERE x.person_id = o.person_id AND x.condition_concept_id = 255573 AND x.condition_start_date < o.index_date)
)
SELECT (SELECT COUNT(*) FROM cases) AS cases, (SELECT MAX(index_date) FROM cases) AS last_index_date, (SELECT COUNT(*) FROM adults) AS adults,
       (SELECT COUNT(*) FROM observed) AS observed, (SELECT COUNT(*) FROM clean) AS final;

-- name: attrition as rows
-- expect: answerable
WITH base AS (SELECT person_id FROM drug_exposure WHERE drug_concept_id = 1503297 GROUP BY person_id),
     step2 AS (SELECT b.person_id FROM base b WHERE b.person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 201826)),
     step3 AS (SELECT s.person_id FROM step2 s LEFT JOIN death d ON d.person_id = s.person_id WHERE d.person_id IS NULL)
SELECT 1 AS step, 'exposed' AS label, COUNT(*) AS n FROM base
UNION ALL SELECT 2, 'with diagnosis', COUNT(*) FROM step2
UNION ALL SELECT 3, 'alive', COUNT(*) FROM step3
ORDER BY step;

-- name: cohort as the cohort tool writes it
-- expect: answerable
WITH Codesets AS (
    SELECT 0 AS codeset_id, c.concept_id FROM (
        SELECT DISTINCT I.concept_id FROM (
            SELECT concept_id FROM concept WHERE concept_id IN (201826)
            UNION
            SELECT c.concept_id FROM concept c JOIN concept_ancestor ca ON c.concept_id = ca.descendant_concept_id
            AND ca.ancestor_concept_id IN (201826) AND c.invalid_reason IS NULL
        ) I
    ) c
    UNION ALL
    SELECT 1 AS codeset_id, concept_id FROM concept WHERE concept_id IN (1503297, 1545958)
), primary_events AS (
    SELECT P.ordinal AS event_id, P.person_id, P.start_date, P.end_date, op_start_date, op_end_date
    FROM (
        SELECT E.person_id, E.start_date, E.end_date,
               ROW_NUMBER() OVER (PARTITION BY E.person_id ORDER BY E.sort_date ASC, E.event_id) ordinal,
               OP.observation_period_start_date AS op_start_date, OP.observation_period_end_date AS op_end_date
        FROM (
            SELECT C.person_id, C.condition_occurrence_id AS event_id, C.start_date, C.end_date, C.start_date AS sort_date
            FROM (
                SELECT co.person_id, co.condition_occurrence_id, co.condition_start_date AS start_date,
                       COALESCE(co.condition_end_date, DATEADD(day, 1, co.condition_start_date)) AS end_date
                FROM condition_occurrence co
                JOIN Codesets cs ON (co.condition_concept_id = cs.concept_id AND cs.codeset_id = 0)
            ) C
        ) E
        JOIN observation_period OP ON E.person_id = OP.person_id AND E.start_date >= OP.observation_period_start_date AND E.start_date <= OP.observation_period_end_date
        WHERE DATEADD(day, 0, OP.observation_period_start_date) <= E.start_date AND DATEADD(day, 0, E.start_date) <= OP.observation_period_end_date
    ) P
    WHERE P.ordinal = 1
), inclusion_0 AS (
    SELECT 0 AS inclusion_rule_id, pe.person_id, pe.event_id
    FROM primary_events pe
    JOIN drug_exposure de ON de.person_id = pe.person_id
    JOIN Codesets cs ON de.drug_concept_id = cs.concept_id AND cs.codeset_id = 1
    WHERE de.drug_exposure_start_date >= pe.op_start_date AND de.drug_exposure_start_date <= DATEADD(day, 365, pe.start_date)
    GROUP BY pe.person_id, pe.event_id
    HAVING COUNT(de.drug_exposure_id) >= 1
), included AS (
    SELECT pe.person_id, pe.event_id, SUM(COALESCE(POWER(CAST(2 AS BIGINT), I.inclusion_rule_id), 0)) AS inclusion_rule_mask
    FROM primary_events pe LEFT JOIN inclusion_0 I ON I.person_id = pe.person_id AND I.event_id = pe.event_id
    GROUP BY pe.person_id, pe.event_id
)
SELECT CASE WHEN inclusion_rule_mask >= 1 THEN 'in' ELSE 'out' END AS result, COUNT_BIG(*) AS person_count
FROM included GROUP BY CASE WHEN inclusion_rule_mask >= 1 THEN 'in' ELSE 'out' END;

-- name: exposed and unexposed with outcome
-- expect: answerable
SELECT exposed, outcome, COUNT(*) AS persons
FROM (
    SELECT p.person_id,
           EXISTS (SELECT 1 FROM drug_era d WHERE d.person_id = p.person_id AND d.drug_concept_id = 1177480) AS exposed,
           EXISTS (SELECT 1 FROM condition_era c WHERE c.person_id = p.person_id AND c.condition_concept_id = 312327) AS outcome
    FROM person p
) t
GROUP BY exposed, outcome;
-- plain:
SELECT d.person_id IS NOT NULL AS exposed, c.person_id IS NOT NULL AS outcome, COUNT(*) AS persons
FROM person p
LEFT JOIN (SELECT DISTINCT person_id FROM drug_era WHERE drug_concept_id = 1177480) d ON d.person_id = p.person_id
LEFT JOIN (SELECT DISTINCT person_id FROM condition_era WHERE condition_concept_id = 312327) c ON c.person_id = p.person_id
GROUP BY 1, 2;

-- name: relative risk from four counts
-- expect: answerable
WITH t AS (
    SELECT p.person_id,
           CASE WHEN d.person_id IS NULL THEN 0 ELSE 1 END AS exposed,
           CASE WHEN c.person_id IS NULL THEN 0 ELSE 1 END AS outcome
    FROM person p
    LEFT JOIN (SELECT DISTINCT person_id FROM drug_era WHERE drug_concept_id = 1112807) d ON d.person_id = p.person_id
    LEFT JOIN (SELECT DISTINCT person_id FROM condition_era WHERE condition_concept_id = 381316) c ON c.person_id = p.person_id
), cells AS (
    SELECT SUM(exposed * outcome) AS a, SUM(exposed * (1 - outcome)) AS b, SUM((1 - exposed) * outcome) AS c, SUM((1 - exposed) * (1 - outcome)) AS d FROM t
)
SELECT (a * 1.0 / (a + b)) / (c * 1.0 / (c + d)) AS relative_risk FROM cells;

-- name: first event by row value in a list
-- expect: answerable
SELECT condition_concept_id, COUNT(DISTINCT person_id) AS persons
FROM condition_occurrence
WHERE (person_id, condition_start_date) IN (SELECT person_id, MIN(condition_start_date) FROM condition_occurrence GROUP BY person_id)
GROUP BY condition_concept_id;

-- name: at least two of three criteria
-- expect: answerable
SELECT COUNT(*) AS persons
FROM (
    SELECT person_id FROM (
        SELECT person_id, 'dx' AS criterion FROM condition_occurrence WHERE condition_concept_id = 201826
        UNION SELECT person_id, 'rx' FROM drug_exposure WHERE drug_concept_id = 1503297
        UNION SELECT person_id, 'lab' FROM measurement WHERE measurement_concept_id = 3004410 AND value_as_number >= 6.5
    ) c GROUP BY person_id HAVING COUNT(DISTINCT criterion) >= 2
) t;

-- name: index date with lateral
-- expect: answerable
SELECT EXTRACT(YEAR FROM f.first_rx) AS y, COUNT(*) AS persons
FROM person p
CROSS JOIN LATERAL (SELECT MIN(d.drug_exposure_start_date) AS first_rx FROM drug_exposure d WHERE d.person_id = p.person_id) f
WHERE f.first_rx IS NOT NULL
GROUP BY 1;

-- name: full join of two cohorts
-- expect: answerable
SELECT SUM(CASE WHEN a.person_id IS NOT NULL AND b.person_id IS NOT NULL THEN 1 ELSE 0 END) AS in_both,
       SUM(CASE WHEN b.person_id IS NULL THEN 1 ELSE 0 END) AS only_a,
       SUM(CASE WHEN a.person_id IS NULL THEN 1 ELSE 0 END) AS only_b
FROM (SELECT DISTINCT person_id FROM drug_era WHERE drug_concept_id = 1503297) a
FULL OUTER JOIN (SELECT DISTINCT person_id FROM drug_era WHERE drug_concept_id = 1332418) b USING (person_id);

-- name: concept set as an array
-- expect: answerable
SELECT gender_concept_id, COUNT(*) FROM person p
WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = ANY (ARRAY[201826, 320128, 432867]))
GROUP BY gender_concept_id;

-- name: above the average number of visits
-- expect: answerable
WITH n AS (SELECT person_id, COUNT(*) AS visits FROM visit_occurrence GROUP BY person_id)
SELECT COUNT(*) FROM n WHERE visits > (SELECT AVG(visits) FROM n);

-- name: controls matched by stratum size
-- expect: answerable
WITH strata AS (
    SELECT p.gender_concept_id, FLOOR(p.year_of_birth / 10) * 10 AS decade,
           CASE WHEN EXISTS (SELECT 1 FROM condition_era c WHERE c.person_id = p.person_id AND c.condition_concept_id = 317009) THEN 'case' ELSE 'control' END AS grp
    FROM person p
)
SELECT gender_concept_id, decade,
       COUNT(*) FILTER (WHERE grp = 'case') AS cases,
       COUNT(*) FILTER (WHERE grp = 'control') AS controls
FROM strata GROUP BY gender_concept_id, decade
HAVING COUNT(*) FILTER (WHERE grp = 'case') > 0;
-- plain:
SELECT p.gender_concept_id, FLOOR(p.year_of_birth / 10) * 10 AS decade, COUNT(c.person_id) AS cases, COUNT(*) - COUNT(c.person_id) AS controls
FROM person p
LEFT JOIN (SELECT DISTINCT person_id FROM condition_era WHERE condition_concept_id = 317009) c ON c.person_id = p.person_id
GROUP BY 1, 2
HAVING COUNT(c.person_id) > 0;
