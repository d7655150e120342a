-- name: a concept by its number
-- expect: public-only
SELECT * FROM concept WHERE concept_id = 201826;

-- name: a concept by its code
-- expect: public-only
SELECT concept_id, concept_name, domain_id, standard_concept FROM concept WHERE concept_code = '44054006' AND vocabulary_id = 'SNOMED';

-- name: concepts by a word in the name
-- expect: public-only
SELECT concept_id, concept_name, domain_id, vocabulary_id, concept_class_id, standard_concept, concept_code
FROM concept
WHERE LOWER(concept_name) LIKE '%diabetes%'
ORDER BY concept_id;

-- name: concepts by ilike
-- expect: public-only
SELECT concept_id, concept_name FROM concept WHERE concept_name ILIKE '%hypert%' AND domain_id = 'Condition' ORDER BY concept_name, concept_id LIMIT 50;

-- name: by regular expression
-- expect: public-only
SELECT concept_id, concept_name FROM concept WHERE concept_name ~* '^(acute|chronic) ' ORDER BY 1;

-- name: names in other languages
-- expect: public-only
SELECT c.concept_id, c.concept_name, s.concept_synonym_name
FROM concept c JOIN concept_synonym s ON s.concept_id = c.concept_id
WHERE c.domain_id = 'Drug' ORDER BY 1, 3;

-- name: standard concept of a source code
-- expect: public-only
SELECT c1.concept_code AS source_code, c1.concept_name AS source_name, c2.concept_id AS standard_id, c2.concept_name AS standard_name
FROM concept c1
JOIN concept_relationship cr ON cr.concept_id_1 = c1.concept_id AND cr.relationship_id = 'Maps to' AND cr.invalid_reason IS NULL
JOIN concept c2 ON c2.concept_id = cr.concept_id_2
WHERE c1.vocabulary_id = 'ICD10' AND c1.concept_code LIKE 'E11%'
ORDER BY source_code, standard_id;

-- name: source codes of a standard concept
-- expect: public-only
SELECT c.vocabulary_id, c.concept_code, c.concept_name FROM concept_relationship r JOIN concept c ON c.concept_id = r.concept_id_1
WHERE r.relationship_id = 'Maps to' AND r.concept_id_2 = 201826 ORDER BY 1, 2;

-- name: codes that map to nothing
-- expect: public-only
SELECT c.vocabulary_id, COUNT(*) AS unmapped
FROM concept c
LEFT JOIN concept_relationship r ON r.concept_id_1 = c.concept_id AND r.relationship_id = 'Maps to'
WHERE c.standard_concept IS NULL AND r.concept_id_2 IS NULL
GROUP BY c.vocabulary_id ORDER BY 1;

-- name: codes that map to several
-- expect: public-only
SELECT concept_id_1, COUNT(*) AS n FROM concept_relationship WHERE relationship_id = 'Maps to' GROUP BY concept_id_1 HAVING COUNT(*) > 1 ORDER BY n DESC, 1;

-- name: descendants of a condition
-- expect: public-only
SELECT c.concept_id, c.concept_name, ca.min_levels_of_separation
FROM concept_ancestor ca JOIN concept c ON c.concept_id = ca.descendant_concept_id
WHERE ca.ancestor_concept_id = 4274025
ORDER BY ca.min_levels_of_separation, c.concept_id;

-- name: ancestors of a condition
-- expect: public-only
SELECT a.concept_id, a.concept_name, ca.max_levels_of_separation FROM concept_ancestor ca, concept a
WHERE ca.descendant_concept_id = 201826 AND a.concept_id = ca.ancestor_concept_id AND ca.min_levels_of_separation > 0 ORDER BY 3, 1;

-- name: children alone
-- expect: public-only
SELECT ca.descendant_concept_id FROM concept_ancestor ca WHERE ca.ancestor_concept_id = 441840 AND ca.min_levels_of_separation = 1 ORDER BY 1;

-- name: common ancestor of two conditions
-- expect: public-only
SELECT a.ancestor_concept_id FROM concept_ancestor a
INTERSECT
SELECT b.ancestor_concept_id FROM concept_ancestor b WHERE b.descendant_concept_id = 320128
ORDER BY 1;

-- name: concept set with descendants and exclusions
-- expect: public-only
WITH included AS (
  SELECT descendant_concept_id AS concept_id FROM concept_ancestor WHERE ancestor_concept_id IN (4274025)
), excluded AS (
  SELECT descendant_concept_id AS concept_id FROM concept_ancestor WHERE ancestor_concept_id IN (201826)
)
SELECT i.concept_id FROM included i LEFT JOIN excluded e ON e.concept_id = i.concept_id WHERE e.concept_id IS NULL ORDER BY 1;

-- name: the same by except
-- expect: public-only
SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 4274025
EXCEPT
SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826
ORDER BY 1;

-- name: ingredients
-- expect: public-only
SELECT concept_id, concept_name, concept_code FROM concept WHERE vocabulary_id = 'RxNorm' AND concept_class_id = 'Ingredient' AND standard_concept = 'S' ORDER BY concept_name, concept_id;

-- name: drugs of an ingredient
-- expect: public-only
SELECT d.concept_id, d.concept_name, d.concept_class_id
FROM concept_ancestor ca
INNER JOIN concept i ON i.concept_id = ca.ancestor_concept_id
INNER JOIN concept d ON d.concept_id = ca.descendant_concept_id
WHERE i.concept_id = 1503297 AND d.concept_class_id <> 'Ingredient' AND d.invalid_reason IS NULL
ORDER BY d.concept_id;

-- name: ingredients of a drug
-- expect: public-only
SELECT d.concept_id AS drug, i.concept_id AS ingredient, i.concept_name FROM concept d
JOIN concept_ancestor ca ON ca.descendant_concept_id = d.concept_id
JOIN concept i ON i.concept_id = ca.ancestor_concept_id AND i.concept_class_id = 'Ingredient'
WHERE d.concept_class_id = 'Clinical Drug' ORDER BY 1, 2;

-- name: number of drugs per ingredient
-- expect: public-only
SELECT i.concept_name, COUNT(*) - 1 AS drugs FROM concept i JOIN concept_ancestor ca ON ca.ancestor_concept_id = i.concept_id
WHERE i.concept_class_id = 'Ingredient' GROUP BY i.concept_name ORDER BY drugs DESC, 1;

-- name: strength of drugs
-- expect: public-only
SELECT drug_concept_id, ingredient_concept_id, amount_value, amount_unit_concept_id FROM drug_strength WHERE amount_value >= 10 ORDER BY 1, 2;

-- name: strength per millilitre
-- expect: public-only
SELECT ds.drug_concept_id, ds.numerator_value / NULLIF(ds.denominator_value, 0) AS concentration FROM drug_strength ds WHERE ds.numerator_value IS NOT NULL ORDER BY 1;

-- name: products with two ingredients
-- expect: public-only
SELECT drug_concept_id, COUNT(DISTINCT ingredient_concept_id) AS k FROM drug_strength GROUP BY drug_concept_id HAVING COUNT(DISTINCT ingredient_concept_id) >= 2 ORDER BY 1;

-- name: vocabularies and versions
-- expect: public-only
SELECT vocabulary_id, vocabulary_name, vocabulary_version FROM vocabulary ORDER BY vocabulary_id;

-- name: version of the vocabulary as a whole
-- expect: public-only
SELECT vocabulary_version FROM vocabulary WHERE vocabulary_id = 'None';

-- name: domains
-- expect: public-only
select DOMAIN_ID, domain_name from DOMAIN order by 1

-- name: classes
-- expect: public-only
SELECT concept_class_id, concept_class_name FROM concept_class ORDER BY concept_class_id;

-- name: relationships and their reverse
-- expect: public-only
SELECT r.relationship_id, r.reverse_relationship_id, b.is_hierarchical FROM relationship r JOIN relationship b ON b.relationship_id = r.reverse_relationship_id ORDER BY 1;

-- name: concepts per vocabulary and standing
-- expect: public-only
SELECT vocabulary_id, COALESCE(standard_concept, 'N') AS standing, COUNT(*) AS concepts FROM concept GROUP BY vocabulary_id, COALESCE(standard_concept, 'N') ORDER BY 1, 2;

-- name: concepts per domain with share
-- expect: public-only
SELECT domain_id, COUNT(*) AS n, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER (), 2) AS pct FROM concept GROUP BY domain_id ORDER BY n DESC, 1;

-- name: rolled up
-- expect: public-only
SELECT vocabulary_id, domain_id, COUNT(*) AS n FROM concept GROUP BY ROLLUP (vocabulary_id, domain_id) ORDER BY 1 NULLS LAST, 2 NULLS LAST;

-- name: no longer valid
-- expect: public-only
SELECT concept_id, concept_name, invalid_reason, valid_end_date FROM concept WHERE invalid_reason IS NOT NULL OR valid_end_date < CURRENT_DATE ORDER BY 1;

-- name: valid on a day
-- expect: public-only
SELECT COUNT(*) FROM concept WHERE DATE '2020-01-01' BETWEEN valid_start_date AND valid_end_date;

-- name: replacement of an outdated concept
-- expect: public-only
SELECT r.concept_id_1 AS old_id, r.concept_id_2 AS new_id FROM concept_relationship r WHERE r.relationship_id = 'Concept replaced by' ORDER BY 1, 2;

-- name: ranked by number of descendants
-- expect: public-only
SELECT * FROM (SELECT ancestor_concept_id, COUNT(*) AS n, ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, ancestor_concept_id) AS rn FROM concept_ancestor GROUP BY ancestor_concept_id) t WHERE rn <= 10 ORDER BY rn;

-- name: deepest hierarchy
-- expect: public-only
SELECT MAX(max_levels_of_separation) AS deepest, AVG(min_levels_of_separation) AS mean FROM concept_ancestor;

-- name: median number of levels
-- expect: public-only
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY min_levels_of_separation) FROM concept_ancestor;

-- name: names in one text
-- expect: public-only
SELECT domain_id, STRING_AGG(vocabulary_id, ', ' ORDER BY vocabulary_id) AS vocabularies FROM (SELECT DISTINCT domain_id, vocabulary_id FROM concept) t GROUP BY domain_id ORDER BY domain_id;

-- name: first letters
-- expect: public-only
SELECT LEFT(concept_name, 1) AS letter, COUNT(*) AS n FROM concept WHERE vocabulary_id = 'RxNorm' GROUP BY LEFT(concept_name, 1) ORDER BY 1;

-- name: chapter of a code
-- expect: public-only
SELECT SUBSTRING(concept_code FROM 1 FOR 1) AS chapter, COUNT(*) FROM concept WHERE vocabulary_id = 'ICD10' GROUP BY 1 ORDER BY 1;

-- name: position of a point in the code
-- expect: public-only
SELECT concept_code, POSITION('.' IN concept_code) AS p, CHARINDEX('.', concept_code) AS q FROM concept WHERE vocabulary_id = 'ICD10' ORDER BY concept_code, concept_id LIMIT 20;

-- name: length of names
-- expect: public-only
SELECT LEN(concept_name) AS l, COUNT(*) AS n FROM concept GROUP BY LEN(concept_name) ORDER BY l;

-- name: missing values by another dialect
-- expect: public-only
SELECT concept_id, ISNULL(standard_concept, 'N') AS s, NVL(invalid_reason, 'V') AS v, IFNULL(standard_concept, '-') AS i FROM concept ORDER BY concept_id LIMIT 25;

-- name: decode by another dialect
-- expect: public-only
SELECT concept_id, DECODE(standard_concept, 'S', 'standard', 'C', 'classification', 'source') AS kind FROM concept ORDER BY 1 LIMIT 20;

-- name: choice by another dialect
-- expect: public-only
SELECT IIF(standard_concept = 'S', 1, 0) AS is_standard, COUNT_BIG(*) AS n FROM concept GROUP BY IIF(standard_concept = 'S', 1, 0) ORDER BY 1;

-- name: codes without points
-- expect: public-only
SELECT concept_code, REPLACE(concept_code, '.', '') AS bare, UPPER(concept_name) AS name FROM concept WHERE vocabulary_id = 'ICD10' ORDER BY concept_code, concept_id LIMIT 30;

-- name: years of validity
-- expect: public-only
SELECT EXTRACT(YEAR FROM valid_start_date) AS y, COUNT(*) AS n, MIN(valid_start_date) AS first, MAX(valid_end_date) AS last FROM concept GROUP BY 1 ORDER BY 1;

-- name: days of validity
-- expect: public-only
SELECT concept_id, valid_end_date - valid_start_date AS days, DATEDIFF(year, valid_start_date, valid_end_date) AS years FROM concept ORDER BY 1 LIMIT 10;

-- name: valid for a month more
-- expect: public-only
SELECT concept_id, DATEADD(month, 1, valid_start_date) AS next_month, valid_start_date + 30 AS in_thirty_days FROM concept ORDER BY 1 LIMIT 10;

-- name: months as text
-- expect: public-only
SELECT TO_CHAR(valid_start_date, 'YYYY-MM') AS m, COUNT(*) AS n FROM concept GROUP BY TO_CHAR(valid_start_date, 'YYYY-MM') ORDER BY 1;
-- plain:
SELECT TO_CHAR(valid_start_date, '%Y-%m') AS m, COUNT(*) AS n FROM concept GROUP BY 1;

-- name: concepts that are not in another table
-- expect: public-only
SELECT c.concept_id FROM concept c WHERE NOT EXISTS (SELECT 1 FROM concept_ancestor a WHERE a.descendant_concept_id = c.concept_id) ORDER BY 1 LIMIT 40;

-- name: not in a list of sets
-- expect: public-only
SELECT COUNT(*) FROM concept WHERE concept_id NOT IN (SELECT concept_id_1 FROM concept_relationship);

-- name: units
-- expect: public-only
SELECT concept_id, concept_code FROM concept WHERE domain_id = 'Unit' AND vocabulary_id = 'UCUM' AND standard_concept = 'S' ORDER BY concept_code;

-- name: laboratory tests by code
-- expect: public-only
SELECT concept_id, concept_name, concept_code FROM concept WHERE vocabulary_id = 'LOINC' AND concept_code IN ('4548-4', '2160-0', '8480-6') ORDER BY 3;

-- name: measurement by mapped local code
-- expect: public-only
SELECT l.concept_code, s.concept_id FROM concept l JOIN concept_relationship r ON r.concept_id_1 = l.concept_id JOIN concept s ON s.concept_id = r.concept_id_2
WHERE l.vocabulary_id = 'JLAC10' AND r.relationship_id = 'Maps to' AND s.vocabulary_id = 'LOINC' ORDER BY 1, 2;

-- name: mapped from everywhere
-- expect: public-only
SELECT s.domain_id, l.vocabulary_id AS source_vocabulary, s.vocabulary_id AS target_vocabulary, COUNT(*) AS maps
FROM concept_relationship r
JOIN concept l ON l.concept_id = r.concept_id_1
JOIN concept s ON s.concept_id = r.concept_id_2
WHERE r.relationship_id = 'Maps to'
GROUP BY s.domain_id, l.vocabulary_id, s.vocabulary_id ORDER BY 1, 2, 3;

-- name: kinds of relation in use
-- expect: public-only
SELECT relationship_id, COUNT(*) FROM concept_relationship GROUP BY relationship_id ORDER BY 2 DESC, 1;

-- name: asymmetric relations
-- expect: public-only
SELECT COUNT(*) FROM concept_relationship a JOIN relationship r ON r.relationship_id = a.relationship_id
LEFT JOIN concept_relationship b ON b.concept_id_1 = a.concept_id_2 AND b.concept_id_2 = a.concept_id_1 AND b.relationship_id = r.reverse_relationship_id
WHERE b.concept_id_1 IS NULL;

-- name: relation of one concept
-- expect: public-only
SELECT r.relationship_id, c.concept_name, c.vocabulary_id FROM concept_relationship r, concept c WHERE r.concept_id_1 = 1503297 AND c.concept_id = r.concept_id_2 ORDER BY 1, 2, 3;

-- name: a list of values joined
-- expect: public-only
SELECT v.label, c.concept_name FROM (VALUES (201826, 'diabetes'), (320128, 'hypertension'), (1, 'nothing')) AS v(id, label) LEFT JOIN concept c ON c.concept_id = v.id ORDER BY v.label;

-- name: any of an array
-- expect: public-only
SELECT concept_id, concept_name FROM concept WHERE concept_id = ANY (ARRAY[201826, 320128]) ORDER BY 1;

-- name: pivot of standing per domain
-- expect: public-only
SELECT domain_id, COUNT(*) FILTER (WHERE standard_concept = 'S') AS s, SUM(CASE WHEN standard_concept = 'C' THEN 1 ELSE 0 END) AS c, COUNT(*) AS all_concepts FROM concept GROUP BY domain_id ORDER BY 1;

-- name: the same name twice
-- expect: public-only
SELECT LOWER(concept_name) AS name, COUNT(*) AS n FROM concept WHERE standard_concept = 'S' GROUP BY LOWER(concept_name) HAVING COUNT(*) > 1 ORDER BY 1;

-- name: names with their shorter synonym
-- expect: public-only
SELECT c.concept_id, MIN(LENGTH(s.concept_synonym_name)) AS shortest FROM concept c JOIN concept_synonym s USING (concept_id) GROUP BY c.concept_id ORDER BY 1 LIMIT 15;

-- name: distinct pairs
-- expect: public-only
SELECT DISTINCT domain_id, concept_class_id FROM concept ORDER BY domain_id, concept_class_id;

-- name: first of each class
-- expect: public-only
SELECT DISTINCT ON (concept_class_id) concept_class_id, concept_id, concept_name FROM concept ORDER BY concept_class_id, concept_id;

-- name: running number of concepts
-- expect: public-only
SELECT concept_id, SUM(1) OVER (PARTITION BY domain_id ORDER BY concept_id) AS running FROM concept WHERE domain_id = 'Unit' ORDER BY 1;

-- name: neighbouring ids
-- expect: public-only
SELECT concept_id, LAG(concept_id) OVER (ORDER BY concept_id) AS before, LEAD(concept_id) OVER (ORDER BY concept_id) AS after FROM concept ORDER BY 1 LIMIT 12;

-- name: quartiles of ids
-- expect: public-only
SELECT tile, MIN(concept_id), MAX(concept_id), COUNT(*) FROM (SELECT concept_id, NTILE(4) OVER (ORDER BY concept_id) AS tile FROM concept) t GROUP BY tile ORDER BY tile;

-- name: scalar subquery in the list
-- expect: public-only
SELECT v.vocabulary_id, (SELECT COUNT(*) FROM concept c WHERE c.vocabulary_id = v.vocabulary_id) AS concepts FROM vocabulary v ORDER BY 1;

-- name: constants alone
-- expect: public-only
SELECT 1 AS one, 'two' AS two, CURRENT_DATE - DATE '2000-01-01' > 0 AS later;

-- name: a calendar
-- expect: public-only
SELECT EXTRACT(YEAR FROM d) AS y, EXTRACT(MONTH FROM d) AS m FROM generate_series(DATE '2020-01-01', DATE '2020-06-01', INTERVAL '1 month') AS g(d) ORDER BY 1, 2;

-- name: numbers
-- expect: public-only
SELECT n, n * n AS square FROM generate_series(1, 5) AS n ORDER BY n;

-- name: table of what may be asked
-- expect: public-only
SELECT COUNT(*) FROM concept c CROSS JOIN domain d WHERE c.domain_id = d.domain_id;

-- name: drugs by start of the code
-- expect: public-only
SELECT SUBSTR(concept_code, 1, 4) AS yj, COUNT(*) AS n FROM concept WHERE vocabulary_id = 'YJ' GROUP BY SUBSTR(concept_code, 1, 4) ORDER BY 1;

-- name: nested sets
-- expect: public-only
SELECT concept_id FROM concept WHERE concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id IN (SELECT concept_id FROM concept WHERE concept_name = 'Disease')) ORDER BY 1;

-- name: left over after mapping
-- expect: public-only
SELECT c.concept_class_id, COUNT(r.concept_id_2) AS mapped, COUNT(*) AS codes FROM concept c LEFT JOIN concept_relationship r ON r.concept_id_1 = c.concept_id AND r.relationship_id = 'Maps to' WHERE c.vocabulary_id IN ('ICD10', 'YJ', 'JLAC10') GROUP BY c.concept_class_id ORDER BY 1;

-- name: with quoted and mixed names
-- expect: public-only
Select C."concept_id" As "Id", C.Concept_Name as "Name" From Concept C Where C.Vocabulary_Id In ('Gender','Race') Order By 1;

-- name: similar to a pattern
-- expect: public-only
SELECT concept_code FROM concept WHERE vocabulary_id = 'ICD10' AND concept_code SIMILAR TO '[A-E]%' ORDER BY concept_code, concept_id;
-- plain:
SELECT concept_code FROM concept WHERE vocabulary_id = 'ICD10' AND concept_code ~ '^[A-E]' ORDER BY concept_code, concept_id;

-- name: greatest and least dates
-- expect: public-only
SELECT GREATEST(valid_start_date, DATE '2000-01-01') AS from_date, COUNT(*) FROM concept GROUP BY 1 ORDER BY 1;

-- name: pairs by row value
-- expect: public-only
SELECT concept_id_1, concept_id_2 FROM concept_relationship WHERE (concept_id_1, concept_id_2) IN (SELECT descendant_concept_id, ancestor_concept_id FROM concept_ancestor) ORDER BY 1, 2;

-- name: concepts by lateral
-- expect: public-only
SELECT v.vocabulary_id, t.concept_id FROM vocabulary v CROSS JOIN LATERAL (SELECT MIN(c.concept_id) AS concept_id FROM concept c WHERE c.vocabulary_id = v.vocabulary_id) t ORDER BY 1;
