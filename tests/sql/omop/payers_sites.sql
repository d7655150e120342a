-- name: months of insurance per payer
-- expect: answerable
SELECT payer_concept_id, COUNT(DISTINCT person_id) AS persons, MAX(payer_plan_period_end_date) AS last_day,
       SUM(DATEDIFF(month, payer_plan_period_start_date, payer_plan_period_end_date)) AS months
FROM payer_plan_period GROUP BY payer_concept_id;

-- name: persons who changed payer
-- expect: answerable
SELECT COUNT(*) FROM (SELECT person_id FROM payer_plan_period GROUP BY person_id HAVING COUNT(DISTINCT payer_concept_id) > 1) t;

-- name: stop reasons
-- expect: answerable
SELECT COALESCE(stop_reason_concept_id, 0) AS reason, YEAR(payer_plan_period_end_date) AS y, COUNT(*) FROM payer_plan_period GROUP BY 1, 2;

-- name: visits by kind of care site
-- expect: answerable
SELECT cs.place_of_service_concept_id, COUNT(*) AS visits, COUNT(DISTINCT v.person_id) AS persons
FROM visit_occurrence v JOIN care_site cs ON cs.care_site_id = v.care_site_id
GROUP BY cs.place_of_service_concept_id;

-- name: visits by care site number
-- expect: answerable
SELECT v.care_site_id, COUNT(*) AS visits
FROM visit_occurrence v
WHERE v.care_site_id IS NOT NULL
GROUP BY v.care_site_id
ORDER BY visits DESC
LIMIT 10;

-- name: visits by care site name and place
-- expect: answerable
SELECT cs.care_site_name, l.city, COUNT(DISTINCT v.person_id) AS persons
FROM visit_occurrence v
JOIN care_site cs ON cs.care_site_id = v.care_site_id
JOIN location l ON l.location_id = cs.location_id
GROUP BY cs.care_site_name, l.city;

-- name: prescriptions by specialty
-- expect: answerable
SELECT pr.specialty_concept_id, d.drug_concept_id, COUNT(*) AS prescriptions, MEDIAN(d.days_supply) AS median_days
FROM drug_exposure d JOIN provider pr ON pr.provider_id = d.provider_id
GROUP BY pr.specialty_concept_id, d.drug_concept_id;

-- name: patients per provider on average
-- expect: answerable
SELECT COUNT(DISTINCT v.person_id) * 1.0 / COUNT(DISTINCT v.provider_id) AS patients_per_provider FROM visit_occurrence v WHERE v.provider_id IS NOT NULL;

-- name: persons seen at two sites
-- expect: answerable
SELECT sites, COUNT(*) AS persons
FROM (SELECT person_id, COUNT(DISTINCT care_site_id) AS sites FROM visit_occurrence GROUP BY person_id) s GROUP BY sites;

-- name: insured at diagnosis
-- expect: answerable
SELECT pp.payer_concept_id, COUNT(DISTINCT c.person_id) AS persons
FROM condition_occurrence c
LEFT JOIN payer_plan_period pp ON pp.person_id = c.person_id
      AND c.condition_start_date >= pp.payer_plan_period_start_date AND c.condition_start_date <= pp.payer_plan_period_end_date
WHERE c.condition_concept_id = 201826
GROUP BY pp.payer_concept_id;
