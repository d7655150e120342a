-- name: first three drugs as a path
-- expect: answerable
WITH steps AS (
    SELECT person_id, drug_concept_id, drug_era_start_date,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS n
    FROM drug_era
    WHERE drug_concept_id IN (1503297, 1545958, 1332418, 1308216)
), paths AS (
    SELECT person_id,
           MAX(CASE WHEN n = 1 THEN drug_concept_id END) AS d1,
           MAX(CASE WHEN n = 2 THEN drug_concept_id END) AS d2,
           MAX(CASE WHEN n = 3 THEN drug_concept_id END) AS d3
    FROM steps WHERE n <= 3 GROUP BY person_id
)
SELECT d1, d2, d3, COUNT(*) AS persons FROM paths GROUP BY d1, d2, d3 ORDER BY persons DESC;

-- name: path as one text
-- expect: answerable
WITH steps AS (
    SELECT person_id, drug_concept_id, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS n
    FROM drug_era
)
SELECT path, COUNT(*) AS persons
FROM (SELECT person_id, STRING_AGG(drug_concept_id::text, ' > ' ORDER BY n) AS path FROM steps WHERE n <= 3 GROUP BY person_id) t
GROUP BY path;

-- name: without repeats of the same drug
-- expect: answerable
WITH e AS (
    SELECT person_id, drug_concept_id, drug_exposure_start_date AS d, drug_exposure_id,
           LAG(drug_concept_id) OVER (PARTITION BY person_id ORDER BY drug_exposure_start_date, drug_exposure_id) AS prev
    FROM drug_exposure
), changes AS (
    SELECT person_id, drug_concept_id, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY d, drug_exposure_id) AS step
    FROM e WHERE prev IS NULL OR prev <> drug_concept_id
)
SELECT step, drug_concept_id, COUNT(*) AS persons FROM changes WHERE step <= 4 GROUP BY step, drug_concept_id;

-- name: transitions between states
-- expect: answerable
SELECT src, dst, COUNT(*) AS n
FROM (
    SELECT c1.concept_name AS src, c2.concept_name AS dst
    FROM (SELECT person_id, drug_concept_id, LEAD(drug_concept_id) OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS nxt FROM drug_era) t
    JOIN concept c1 ON c1.concept_id = t.drug_concept_id
    JOIN concept c2 ON c2.concept_id = t.nxt
) s
GROUP BY src, dst;

-- name: combination or monotherapy at start
-- expect: answerable
WITH first_day AS (SELECT person_id, MIN(drug_era_start_date) AS d0 FROM drug_era GROUP BY person_id),
     started AS (SELECT f.person_id, COUNT(DISTINCT e.drug_concept_id) AS k
                 FROM first_day f JOIN drug_era e ON e.person_id = f.person_id AND e.drug_era_start_date <= f.d0 + 30
                 GROUP BY f.person_id)
SELECT CASE k WHEN 1 THEN 'mono' WHEN 2 THEN 'dual' ELSE 'more' END AS start_with, COUNT(*) AS persons FROM started GROUP BY 1;

-- name: time to second line in months
-- expect: answerable
SELECT months, COUNT(*) AS persons
FROM (
    SELECT a.person_id, LEAST(MONTHS_BETWEEN(MIN(b.drug_era_start_date), a.drug_era_start_date), 60) AS months
    FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS rn FROM drug_era) a
    JOIN drug_era b ON b.person_id = a.person_id AND b.drug_era_start_date > a.drug_era_start_date AND b.drug_concept_id <> a.drug_concept_id
    WHERE a.rn = 1
    GROUP BY a.person_id, a.drug_era_start_date
) t
GROUP BY months;

-- name: share still on first line after a year
-- expect: answerable
SELECT drug_concept_id, AVG(CASE WHEN last_end >= first_start + INTERVAL '12 months' THEN 1.0 ELSE 0.0 END) AS persistent
FROM (SELECT person_id, drug_concept_id, MIN(drug_era_start_date) AS first_start, MAX(drug_era_end_date) AS last_end
      FROM drug_era GROUP BY person_id, drug_concept_id) t
GROUP BY drug_concept_id;

-- name: first value of the window
-- expect: answerable
SELECT first_drug, last_drug, COUNT(DISTINCT person_id) AS persons
FROM (SELECT person_id,
             FIRST_VALUE(drug_concept_id) OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS first_drug,
             LAST_VALUE(drug_concept_id) OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id
                                               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_drug
      FROM drug_era) w
GROUP BY first_drug, last_drug;

-- name: line of therapy before an outcome
-- expect: answerable
SELECT lines, COUNT(*) AS persons
FROM (
    SELECT s.person_id, (SELECT COUNT(DISTINCT e.drug_concept_id) FROM drug_era e WHERE e.person_id = s.person_id) AS lines
    FROM (SELECT DISTINCT person_id FROM condition_era WHERE condition_concept_id = 381316) s
) t GROUP BY lines;
