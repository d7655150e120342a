-- name: visits and persons per kind
-- expect: answerable
SELECT c.concept_name, v.visit_concept_id, COUNT(*) AS visits, COUNT(DISTINCT v.person_id) AS persons,
       ROUND(COUNT(*) * 1.0 / COUNT(DISTINCT v.person_id), 2) AS visits_per_person
FROM visit_occurrence v LEFT JOIN concept c ON c.concept_id = v.visit_concept_id
GROUP BY 1, 2 ORDER BY 3 DESC;

-- name: length of stay
-- expect: answerable
SELECT AVG(los) AS mean_los, MEDIAN(los) AS median_los, PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY los) AS p90
FROM (SELECT DATE_PART('day', visit_end_date::timestamp - visit_start_date::timestamp) AS los
      FROM visit_occurrence WHERE visit_concept_id = 9201) t;

-- name: readmission within thirty days
-- expect: answerable
WITH stays AS (
    SELECT person_id, visit_occurrence_id, visit_start_date, visit_end_date,
           LEAD(visit_start_date) OVER (PARTITION BY person_id ORDER BY visit_start_date, visit_occurrence_id) AS next_start
    FROM visit_occurrence
    WHERE visit_concept_id IN (9201, 9203, 262)
)
SELECT COUNT(*) AS stays,
       SUM(CASE WHEN next_start > visit_end_date AND next_start <= DATEADD(day, 30, visit_end_date) THEN 1 ELSE 0 END) AS readmitted
FROM stays;

-- name: visits per person in buckets
-- expect: answerable
SELECT WIDTH_BUCKET(n, 0, 20, 4) AS bucket, COUNT(*) AS persons, MIN(n) AS least, MAX(n) AS most
FROM (SELECT p.person_id, COUNT(v.visit_occurrence_id) AS n FROM person p
      LEFT JOIN visit_occurrence v ON v.person_id = p.person_id GROUP BY p.person_id) t
GROUP BY 1 ORDER BY 1;

-- name: counts of counts of counts
-- expect: answerable
SELECT most_in_a_year, COUNT(*) AS persons
FROM (SELECT person_id, MAX(n) AS most_in_a_year
      FROM (SELECT person_id, EXTRACT(YEAR FROM visit_start_date) AS y, COUNT(*) AS n
            FROM visit_occurrence GROUP BY person_id, EXTRACT(YEAR FROM visit_start_date)) a
      GROUP BY person_id) b
GROUP BY most_in_a_year;

-- name: diagnoses per visit
-- expect: answerable
SELECT dx, COUNT(*) AS visits
FROM (SELECT visit_occurrence_id, COUNT(DISTINCT condition_concept_id) AS dx
      FROM condition_occurrence
      WHERE visit_occurrence_id IS NOT NULL
      GROUP BY visit_occurrence_id) t
GROUP BY dx;

-- name: mean number of drugs per inpatient stay
-- expect: answerable
SELECT AVG(n_drugs) AS drugs_per_stay
FROM (
    SELECT v.visit_occurrence_id, COUNT(DISTINCT d.drug_concept_id) AS n_drugs
    FROM visit_occurrence v
    LEFT JOIN drug_exposure d ON d.visit_occurrence_id = v.visit_occurrence_id
    WHERE v.visit_concept_id = 9201
    GROUP BY v.visit_occurrence_id
) s;

-- name: weekday and hour of emergency visits
-- expect: answerable
SELECT EXTRACT(DOW FROM visit_start_date) AS dow, EXTRACT(HOUR FROM visit_start_datetime) AS hr, COUNT(*) AS n
FROM visit_occurrence
WHERE visit_concept_id IN (9203, 262)
GROUP BY 1, 2;

-- name: inpatient days per year of age
-- expect: answerable
SELECT YEAR(v.visit_start_date) - p.year_of_birth AS age, SUM(DATEDIFF(day, v.visit_start_date, v.visit_end_date) + 1) AS bed_days
FROM visit_occurrence v INNER JOIN person p ON v.person_id = p.person_id
WHERE v.visit_concept_id = 9201
GROUP BY YEAR(v.visit_start_date) - p.year_of_birth;

-- name: origin and destination
-- expect: answerable
SELECT admitted_from_concept_id, discharged_to_concept_id, COUNT(*) AS n
FROM visit_occurrence
WHERE visit_concept_id = 9201
GROUP BY CUBE (admitted_from_concept_id, discharged_to_concept_id);

-- name: chains of visits
-- expect: answerable
SELECT a.visit_concept_id AS from_kind, b.visit_concept_id AS to_kind, COUNT(*) AS transitions
FROM visit_occurrence a
JOIN visit_occurrence b ON b.preceding_visit_occurrence_id = a.visit_occurrence_id
GROUP BY a.visit_concept_id, b.visit_concept_id;

-- name: details within their visit
-- expect: answerable
SELECT v.visit_concept_id, vd.visit_detail_concept_id, COUNT(*) AS n,
       AVG(vd.visit_detail_end_date - vd.visit_detail_start_date) AS mean_days,
       MAX(vd.visit_detail_end_date - vd.visit_detail_start_date) AS longest
FROM visit_detail vd
JOIN visit_occurrence v ON v.visit_occurrence_id = vd.visit_occurrence_id
GROUP BY 1, 2;

-- name: visits of a month, rolled up
-- expect: answerable
SELECT EXTRACT(YEAR FROM visit_start_date) AS y, EXTRACT(MONTH FROM visit_start_date) AS m, COUNT(*) AS n
FROM visit_occurrence
WHERE visit_start_date BETWEEN '2012-01-01' AND '2013-12-31'
GROUP BY ROLLUP (EXTRACT(YEAR FROM visit_start_date), EXTRACT(MONTH FROM visit_start_date));

-- name: growth over the year before
-- expect: answerable
WITH by_year AS (SELECT DATE_TRUNC('year', visit_start_date)::date AS y, COUNT(*) AS n FROM visit_occurrence GROUP BY 1)
SELECT y, n, LAG(n) OVER (ORDER BY y) AS before, n - LAG(n) OVER (ORDER BY y) AS growth FROM by_year ORDER BY y;

-- name: length of stay from the catalogue's bounds
-- expect: answerable
SELECT v.visit_concept_id, COUNT(*) AS stays, AVG(v.visit_end_date - v.visit_start_date) AS mean_days,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY v.visit_end_date - v.visit_start_date) AS median_days
FROM visit_occurrence v GROUP BY v.visit_concept_id;
