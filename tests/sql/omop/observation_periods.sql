-- name: persons under observation per year
-- expect: answerable
SELECT y.yr, COUNT(DISTINCT op.person_id) AS persons
FROM generate_series(2005, 2015) AS y(yr)
JOIN observation_period op
  ON EXTRACT(YEAR FROM op.observation_period_start_date) <= y.yr
 AND EXTRACT(YEAR FROM op.observation_period_end_date) >= y.yr
GROUP BY y.yr ORDER BY y.yr;

-- name: coverage by month with a calendar
-- expect: answerable
WITH months AS (
    SELECT m::date AS month_start
    FROM generate_series('2014-01-01'::date, '2014-12-01'::date, interval '1 month') AS m
)
SELECT months.month_start, COUNT(op.person_id) AS under_observation
FROM months
LEFT JOIN observation_period op
  ON op.observation_period_start_date <= months.month_start
 AND op.observation_period_end_date >= months.month_start
GROUP BY months.month_start
ORDER BY months.month_start;

-- name: coverage by listed dates
-- expect: answerable
WITH d(obs_date) AS (VALUES (DATE '2000-01-01'), (DATE '2005-01-01'), (DATE '2010-01-01'), (DATE '2015-01-01'))
SELECT d.obs_date, COUNT(DISTINCT op.person_id) AS count_value
FROM observation_period op, d
WHERE op.observation_period_start_date <= d.obs_date AND op.observation_period_end_date >= d.obs_date
GROUP BY d.obs_date;

-- name: length in years
-- expect: answerable
SELECT FLOOR((observation_period_end_date - observation_period_start_date) / 365.25)::int AS years, COUNT(*) AS periods
FROM observation_period
GROUP BY 1;

-- name: length distribution with percentiles, by hand
-- expect: answerable
-- the long way round that works on every data base
WITH rawData(count_value) AS (
    SELECT DATEDIFF(dd, op1.observation_period_start_date, op1.observation_period_end_date) / 365 AS count_value
    FROM (SELECT person_id, observation_period_start_date, observation_period_end_date,
                 ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY observation_period_start_date ASC) AS rn1
          FROM observation_period) op1
    WHERE op1.rn1 = 1
), overallStats(avg_value, stdev_value, min_value, max_value, total) AS (
    SELECT CAST(AVG(1.0 * count_value) AS FLOAT), CAST(STDDEV(count_value) AS FLOAT), MIN(count_value), MAX(count_value), COUNT_BIG(*)
    FROM rawData
), statsView(count_value, total, rn) AS (
    SELECT count_value, COUNT_BIG(*) AS total, ROW_NUMBER() OVER (ORDER BY count_value) AS rn
    FROM rawData GROUP BY count_value
), priorStats(count_value, total, accumulated) AS (
    SELECT s.count_value, s.total, SUM(p.total) AS accumulated
    FROM statsView s JOIN statsView p ON p.rn <= s.rn
    GROUP BY s.count_value, s.total, s.rn
)
SELECT o.total AS count_value, o.min_value, o.max_value, o.avg_value, o.stdev_value,
       MIN(CASE WHEN p.accumulated >= .50 * o.total THEN p.count_value ELSE o.max_value END) AS median_value,
       MIN(CASE WHEN p.accumulated >= .90 * o.total THEN p.count_value ELSE o.max_value END) AS p90_value
FROM priorStats p CROSS JOIN overallStats o
GROUP BY o.total, o.min_value, o.max_value, o.avg_value, o.stdev_value;

-- name: length by sex with percentiles
-- expect: answerable
SELECT p.gender_concept_id,
       APPROX_PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY o.days) AS q1,
       APPROX_PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY o.days) AS q2,
       APPROX_PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY o.days) AS q3
FROM person p
JOIN (SELECT person_id, SUM(observation_period_end_date - observation_period_start_date) AS days
      FROM observation_period GROUP BY person_id) o ON o.person_id = p.person_id
GROUP BY p.gender_concept_id;

-- name: persons with k periods
-- expect: answerable
SELECT num_periods, COUNT(*) AS persons
FROM (SELECT person_id, COUNT(observation_period_id) AS num_periods FROM observation_period GROUP BY person_id) t
GROUP BY num_periods;

-- name: continuous observation through a year
-- expect: answerable
SELECT COUNT(DISTINCT person_id) FROM observation_period
WHERE observation_period_start_date <= DATEFROMPARTS(2014, 1, 1) AND observation_period_end_date >= DATEFROMPARTS(2014, 12, 31);

-- name: age at entry
-- expect: answerable
SELECT YEAR(op.observation_period_start_date) - p.year_of_birth AS age_at_entry, p.gender_concept_id, COUNT(p.person_id) AS n
FROM (SELECT person_id, MIN(observation_period_start_date) AS observation_period_start_date
      FROM observation_period GROUP BY person_id) op
JOIN person p ON p.person_id = op.person_id
GROUP BY YEAR(op.observation_period_start_date) - p.year_of_birth, p.gender_concept_id;

-- name: first and last day of the data
-- expect: answerable
SELECT MIN(observation_period_start_date) AS first_day, MAX(observation_period_end_date) AS last_day FROM observation_period;

-- name: cumulative observation
-- expect: answerable
SELECT yr, n, SUM(n) OVER (ORDER BY yr) AS cumulative, ROUND(100.0 * n / SUM(n) OVER (), 2) AS pct
FROM (SELECT EXTRACT(YEAR FROM observation_period_start_date) AS yr, COUNT(*) AS n FROM observation_period GROUP BY 1) t
ORDER BY yr;

-- name: events outside of observation
-- expect: answerable
SELECT 'condition' AS domain, COUNT(*) AS outside
FROM condition_occurrence c
WHERE NOT EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = c.person_id
                  AND c.condition_start_date BETWEEN o.observation_period_start_date AND o.observation_period_end_date)
UNION ALL
SELECT 'drug', COUNT(*)
FROM drug_exposure d
WHERE NOT EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = d.person_id
                  AND d.drug_exposure_start_date BETWEEN o.observation_period_start_date AND o.observation_period_end_date);
