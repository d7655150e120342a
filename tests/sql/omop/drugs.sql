-- name: exposures and persons per drug
-- expect: answerable
SELECT c.concept_name, COUNT(*) AS exposures, COUNT(DISTINCT de.person_id) AS persons
FROM drug_exposure de
JOIN concept c ON c.concept_id = de.drug_concept_id
GROUP BY c.concept_name
ORDER BY persons DESC, c.concept_name;

-- name: days supply distribution of metformin
-- expect: answerable
/* descendants of the ingredient, as the cohort was defined */
WITH metformin AS (
    SELECT descendant_concept_id AS concept_id FROM concept_ancestor WHERE ancestor_concept_id = 1503297
)
SELECT MIN(days_supply) AS min_ds,
       PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY days_supply) AS p25,
       PERCENTILE_CONT(0.5)  WITHIN GROUP (ORDER BY days_supply) AS p50,
       PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY days_supply) AS p75,
       MAX(days_supply) AS max_ds
FROM drug_exposure
WHERE drug_concept_id IN (SELECT concept_id FROM metformin)
  AND days_supply IS NOT NULL;

-- name: mean and spread of days supply by type of record
-- expect: answerable
SELECT drug_type_concept_id, COUNT(*) AS n, AVG(days_supply) AS mean_days, STDDEV(days_supply) AS sd_days
FROM drug_exposure
WHERE days_supply > 0
GROUP BY drug_type_concept_id;

-- name: length of eras per ingredient
-- expect: answerable
SELECT de.drug_concept_id,
       COUNT(*) AS eras,
       AVG(de.drug_era_end_date - de.drug_era_start_date + 1) AS mean_length
FROM drug_era de
GROUP BY de.drug_concept_id
ORDER BY eras DESC;

-- name: era length in buckets
-- expect: answerable
SELECT CASE WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 30 THEN '0-29'
            WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 90 THEN '30-89'
            WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 365 THEN '90-364'
            ELSE '365+' END AS length_bucket,
       COUNT_BIG(*) AS num_eras,
       COUNT_BIG(DISTINCT person_id) AS num_persons
FROM drug_era
GROUP BY CASE WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 30 THEN '0-29'
            WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 90 THEN '30-89'
            WHEN DATEDIFF(day, drug_era_start_date, drug_era_end_date) < 365 THEN '90-364'
            ELSE '365+' END;

-- name: end of exposure from days supply
-- expect: answerable
-- drug_exposure_end_date is not filled everywhere: COALESCE as usual
WITH ends AS (
    SELECT person_id, drug_exposure_start_date,
           COALESCE(drug_exposure_end_date,
                    drug_exposure_start_date + (days_supply * INTERVAL '1 day'),
                    drug_exposure_start_date + INTERVAL '1 day') AS end_date
    FROM drug_exposure
)
SELECT EXTRACT(YEAR FROM end_date) AS y, COUNT(DISTINCT person_id) AS persons
FROM ends
GROUP BY 1
ORDER BY 1;

-- name: expected refill date by dateadd
-- expect: answerable
SELECT YEAR(DATEADD(day, days_supply, drug_exposure_start_date)) AS refill_year, COUNT(*) AS n
FROM drug_exposure
WHERE days_supply BETWEEN 1 AND 365
GROUP BY YEAR(DATEADD(day, days_supply, drug_exposure_start_date));

-- name: persons exposed per calendar year and sex
-- expect: answerable
SELECT EXTRACT(YEAR FROM de.drug_exposure_start_date)::int AS yr, p.gender_concept_id,
       COUNT(DISTINCT p.person_id) AS exposed
FROM drug_exposure de
INNER JOIN person p USING (person_id)
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: concurrent ace inhibitor and nsaid
-- expect: answerable
SELECT COUNT(DISTINCT a.person_id) AS persons
FROM drug_era a
JOIN drug_era b ON a.person_id = b.person_id
WHERE a.drug_concept_id = 1308216
  AND b.drug_concept_id = 1177480
  AND a.drug_era_start_date <= b.drug_era_end_date
  AND b.drug_era_start_date <= a.drug_era_end_date;

-- name: overlap by the standard operator
-- expect: answerable
SELECT COUNT(DISTINCT a.person_id)
FROM drug_era a JOIN drug_era b ON a.person_id = b.person_id AND a.drug_era_id < b.drug_era_id
WHERE (a.drug_era_start_date, a.drug_era_end_date) OVERLAPS (b.drug_era_start_date, b.drug_era_end_date);

-- name: first line and second line
-- expect: answerable
WITH ordered AS (
    SELECT person_id, drug_concept_id, drug_era_start_date,
           ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id) AS line
    FROM drug_era
    WHERE drug_concept_id IN (1503297, 1332418, 1308216, 1112807)
)
SELECT f.drug_concept_id AS first_line, s.drug_concept_id AS second_line, COUNT(*) AS persons
FROM ordered f
LEFT JOIN ordered s ON s.person_id = f.person_id AND s.line = 2
WHERE f.line = 1
GROUP BY f.drug_concept_id, s.drug_concept_id;

-- name: switch within ninety days
-- expect: answerable
SELECT SUM(CASE WHEN next_drug <> drug_concept_id AND next_start - drug_era_end_date <= 90 THEN 1 ELSE 0 END) AS switches,
       COUNT(*) AS eras
FROM (
    SELECT person_id, drug_concept_id, drug_era_end_date,
           LEAD(drug_concept_id) OVER w AS next_drug,
           LEAD(drug_era_start_date) OVER w AS next_start
    FROM drug_era
    WINDOW w AS (PARTITION BY person_id ORDER BY drug_era_start_date, drug_era_id)
) t;

-- name: gap between two exposures of one drug
-- expect: answerable
SELECT drug_concept_id, AVG(LEAST(GREATEST(gap, 0), 730)) AS mean_gap
FROM (
    SELECT drug_concept_id,
           drug_exposure_start_date
             - LAG(drug_exposure_end_date) OVER (PARTITION BY person_id, drug_concept_id
                                                 ORDER BY drug_exposure_start_date, drug_exposure_id) AS gap
    FROM drug_exposure
) g
WHERE gap IS NOT NULL
GROUP BY drug_concept_id;

-- name: eras rebuilt with a thirty day persistence window
-- expect: answerable
WITH ctePreDrugTarget AS (
    SELECT d.drug_exposure_id, d.person_id, c.concept_id AS ingredient_concept_id,
           d.drug_exposure_start_date AS start_date,
           COALESCE(d.drug_exposure_end_date, d.drug_exposure_start_date + INTERVAL '1 day') AS end_date
    FROM drug_exposure d
    JOIN concept_ancestor ca ON ca.descendant_concept_id = d.drug_concept_id
    JOIN concept c ON ca.ancestor_concept_id = c.concept_id
    WHERE c.vocabulary_id = 'RxNorm' AND c.concept_class_id = 'Ingredient'
), flagged AS (
    SELECT person_id, ingredient_concept_id, start_date, end_date,
           CASE WHEN start_date <= MAX(end_date) OVER (PARTITION BY person_id, ingredient_concept_id
                    ORDER BY start_date, drug_exposure_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + INTERVAL '30 days'
                THEN 0 ELSE 1 END AS is_new,
           drug_exposure_id
    FROM ctePreDrugTarget
), islands AS (
    SELECT *, SUM(is_new) OVER (PARTITION BY person_id, ingredient_concept_id
                                ORDER BY start_date, drug_exposure_id ROWS UNBOUNDED PRECEDING) AS era_no
    FROM flagged
), eras AS (
    SELECT person_id, ingredient_concept_id, era_no, MIN(start_date) AS era_start, MAX(end_date) AS era_end, COUNT(*) AS exposures
    FROM islands
    GROUP BY person_id, ingredient_concept_id, era_no
)
SELECT ingredient_concept_id, COUNT(*) AS eras, AVG(exposures) AS exposures_per_era
FROM eras
GROUP BY ingredient_concept_id;

-- name: number of different drugs per person
-- expect: answerable
SELECT n_drugs, COUNT(*) AS persons
FROM (SELECT person_id, COUNT(DISTINCT drug_concept_id) AS n_drugs FROM drug_exposure GROUP BY person_id) x
GROUP BY n_drugs
ORDER BY n_drugs;

-- name: polypharmacy on a day
-- expect: answerable
WITH on_day AS (
    SELECT person_id, COUNT(DISTINCT drug_concept_id) AS n
    FROM drug_era
    WHERE DATE '2015-06-30' BETWEEN drug_era_start_date AND drug_era_end_date
    GROUP BY person_id
)
SELECT COUNT(*) FILTER (WHERE n >= 5) AS five_or_more, COUNT(*) FILTER (WHERE n < 5) AS fewer, MAX(n) AS most
FROM on_day;

-- name: quantity by route with clamp
-- expect: answerable
SELECT COALESCE(c.concept_name, 'not recorded') AS route,
       SUM(LEAST(GREATEST(de.quantity, 0), 500)) AS quantity
FROM drug_exposure de
LEFT JOIN concept c ON c.concept_id = de.route_concept_id
GROUP BY COALESCE(c.concept_name, 'not recorded');

-- name: proportion of days covered in the first year
-- expect: answerable
WITH idx AS (
    SELECT person_id, MIN(drug_exposure_start_date) AS index_date FROM drug_exposure
    WHERE drug_concept_id = 1545958 GROUP BY person_id
), covered AS (
    SELECT i.person_id, LEAST(SUM(d.days_supply), 365) / 365.0 AS pdc
    FROM idx i
    JOIN drug_exposure d ON d.person_id = i.person_id
     AND d.drug_concept_id = 1545958
     AND d.drug_exposure_start_date >= i.index_date
     AND d.drug_exposure_start_date < i.index_date + INTERVAL '365' DAY
    GROUP BY i.person_id
)
SELECT COUNT(*) AS persons, AVG(pdc) AS mean_pdc, AVG(CASE WHEN pdc >= 0.8 THEN 1.0 ELSE 0 END) AS adherent
FROM covered;

-- name: new users after a washout of a year
-- expect: answerable
SELECT DATE_TRUNC('year', d.drug_exposure_start_date) AS y, COUNT(DISTINCT d.person_id) AS new_users
FROM drug_exposure d
JOIN observation_period op ON op.person_id = d.person_id
 AND d.drug_exposure_start_date BETWEEN op.observation_period_start_date + INTERVAL '1 year' AND op.observation_period_end_date
WHERE d.drug_concept_id = 1112807
  AND NOT EXISTS (SELECT 1 FROM drug_exposure e
                  WHERE e.person_id = d.person_id AND e.drug_concept_id = d.drug_concept_id
                    AND e.drug_exposure_start_date < d.drug_exposure_start_date
                    AND e.drug_exposure_start_date >= d.drug_exposure_start_date - INTERVAL '1 year')
GROUP BY 1 ORDER BY 1;

-- name: refills as noted in claims
-- expect: answerable
select drug_concept_id, sum(refills) as refills, avg(refills::numeric) as mean_refills
from drug_exposure
where refills is not null
group by drug_concept_id
having count(*) > 3
order by 2 desc;

-- name: share of exposures that end on their first day
-- expect: answerable
SELECT ROUND(100.0 * SUM((drug_exposure_end_date = drug_exposure_start_date)::int) / COUNT(*), 1) AS pct
FROM drug_exposure;

-- name: daily dose of an ingredient
-- expect: answerable
SELECT ds.ingredient_concept_id,
       AVG(LEAST(GREATEST(de.quantity * ds.amount_value / NULLIF(de.days_supply, 0), 0), 10000)) AS mean_daily_dose
FROM drug_exposure de
JOIN drug_strength ds ON ds.drug_concept_id = de.drug_concept_id
WHERE ds.amount_value IS NOT NULL
GROUP BY ds.ingredient_concept_id;

-- name: dose eras by unit
-- expect: answerable
SELECT unit_concept_id, COUNT(*) AS n, MEDIAN(dose_value) AS median_dose
FROM dose_era
WHERE dose_value BETWEEN 0 AND 1000
GROUP BY unit_concept_id;

-- name: top ten drugs and all others
-- expect: answerable
WITH counts AS (
    SELECT drug_concept_id, COUNT(DISTINCT person_id) AS n FROM drug_exposure GROUP BY drug_concept_id
), ranked AS (
    SELECT drug_concept_id, n, RANK() OVER (ORDER BY n DESC, drug_concept_id) AS r FROM counts
)
SELECT CASE WHEN r <= 3 THEN CAST(drug_concept_id AS VARCHAR) ELSE 'other' END AS drug, SUM(n) AS person_drugs
FROM ranked
GROUP BY 1;

-- name: exposures in the year before a diagnosis
-- expect: answerable
WITH i AS (SELECT person_id, MIN(condition_start_date) AS idx FROM condition_occurrence GROUP BY person_id)
SELECT CASE WHEN n = 0 THEN 'none' WHEN n < 3 THEN 'few' ELSE 'many' END AS before, COUNT(*) AS persons
FROM (SELECT i.person_id, (SELECT COUNT(*) FROM drug_exposure e WHERE e.person_id = i.person_id
                           AND e.drug_exposure_start_date BETWEEN i.idx - 365 AND i.idx) AS n FROM i) t
GROUP BY 1;
-- plain:
WITH i AS (SELECT person_id, MIN(condition_start_date) AS idx FROM condition_occurrence GROUP BY person_id)
SELECT CASE WHEN n = 0 THEN 'none' WHEN n < 3 THEN 'few' ELSE 'many' END AS before, COUNT(*) AS persons
FROM (SELECT i.person_id, COUNT(e.person_id) AS n FROM i LEFT JOIN drug_exposure e ON e.person_id = i.person_id
      AND e.drug_exposure_start_date BETWEEN i.idx - INTERVAL '365 days' AND i.idx GROUP BY i.person_id) t
GROUP BY 1;

-- name: exposures after each stay
-- expect: answerable
SELECT COUNT(*) AS stays
FROM visit_occurrence v
CROSS JOIN LATERAL (SELECT COUNT(*) AS n, MIN(e.drug_exposure_start_date) AS next FROM drug_exposure e
                    WHERE e.person_id = v.person_id AND e.drug_exposure_start_date > v.visit_end_date) q
WHERE q.n >= 2 AND q.next IS NOT NULL;
-- plain:
SELECT COUNT(*) AS stays
FROM (SELECT v.visit_occurrence_id FROM visit_occurrence v JOIN drug_exposure e
      ON e.person_id = v.person_id AND e.drug_exposure_start_date > v.visit_end_date
      GROUP BY v.visit_occurrence_id HAVING COUNT(*) >= 2) t;

-- name: persons with a drug twice
-- expect: answerable
SELECT COUNT(*) AS persons FROM person p
WHERE EXISTS (SELECT e.drug_concept_id FROM drug_exposure e WHERE e.person_id = p.person_id
              GROUP BY e.drug_concept_id HAVING COUNT(*) >= 2);
