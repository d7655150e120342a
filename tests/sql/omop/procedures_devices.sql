-- name: procedures by kind and sex
-- expect: answerable
SELECT po.procedure_concept_id, p.gender_concept_id, COUNT(*) AS n, COUNT(DISTINCT po.person_id) AS persons
FROM procedure_occurrence po JOIN person p ON p.person_id = po.person_id
GROUP BY po.procedure_concept_id, p.gender_concept_id;

-- name: procedures in a stay with a diagnosis
-- expect: answerable
SELECT po.procedure_concept_id, COUNT(DISTINCT po.person_id) AS persons
FROM procedure_occurrence po
WHERE po.visit_occurrence_id IN (SELECT co.visit_occurrence_id FROM condition_occurrence co WHERE co.condition_concept_id = 312327)
GROUP BY po.procedure_concept_id;

-- name: age at a procedure
-- expect: answerable
SELECT po.procedure_concept_id,
       MIN(YEAR(po.procedure_date) - p.year_of_birth) AS youngest,
       MAX(YEAR(po.procedure_date) - p.year_of_birth) AS oldest,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY YEAR(po.procedure_date) - p.year_of_birth) AS median_age
FROM procedure_occurrence po JOIN person p ON p.person_id = po.person_id
GROUP BY po.procedure_concept_id;

-- name: repeated on the same day
-- expect: answerable
SELECT COUNT(*) AS person_days
FROM (SELECT person_id, procedure_concept_id, procedure_date FROM procedure_occurrence
      GROUP BY person_id, procedure_concept_id, procedure_date HAVING COUNT(*) > 1) d;

-- name: quantity per procedure
-- expect: answerable
SELECT procedure_concept_id, SUM(COALESCE(quantity, 1)) AS total, AVG(quantity) AS mean, MAX(quantity) AS most FROM procedure_occurrence GROUP BY procedure_concept_id;

-- name: specialty of who performed it
-- expect: answerable
SELECT COALESCE(pr.specialty_concept_id, 0) AS specialty, COUNT(*) AS n
FROM procedure_occurrence po LEFT JOIN provider pr ON pr.provider_id = po.provider_id
GROUP BY COALESCE(pr.specialty_concept_id, 0);

-- name: devices per year
-- expect: answerable
SELECT device_concept_id, YEAR(device_exposure_start_date) AS yr, COUNT(*) AS n, SUM(quantity) AS pieces
FROM device_exposure GROUP BY device_concept_id, YEAR(device_exposure_start_date);

-- name: time to procedure after admission
-- expect: answerable
SELECT LEAST(GREATEST(po.procedure_date - v.visit_start_date, 0), 30) AS day_of_stay, COUNT(*) AS n
FROM visit_occurrence v JOIN procedure_occurrence po USING (visit_occurrence_id)
GROUP BY 1;

-- name: specimens by kind
-- expect: answerable
SELECT s.specimen_concept_id, s.unit_concept_id, COUNT(*) AS n, AVG(s.quantity) FILTER (WHERE s.quantity BETWEEN 0 AND 100) AS mean_quantity
FROM specimen s
GROUP BY s.specimen_concept_id, s.unit_concept_id;

-- name: episodes of a disease
-- expect: answerable
SELECT episode_concept_id, episode_number, COUNT(DISTINCT person_id) AS persons,
       AVG(COALESCE(episode_end_date, DATE '2024-12-31') - episode_start_date) AS mean_days
FROM episode GROUP BY episode_concept_id, episode_number;
