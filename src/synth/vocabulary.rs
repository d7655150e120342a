//! What stands in the public vocabulary, which does not depend on the persons drawn?
//!
//! The OMOP vocabulary tables, for the curated concepts of [`super::codes`] alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::arrow::{
    array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray},
    error::ArrowError,
};

use super::{
    codes::{
        ICD10_FIRST, JLAC10_FIRST, YJ_FIRST,
        conditions::CONDITIONS,
        drugs::{CLINICAL_DRUGS, INGREDIENTS, PRODUCTS},
        local,
        measurements::{MEASUREMENTS, UNITS},
        others::{ENGLISH, JAPANESE, PLAIN, PROCEDURES},
    },
    layout::{Column, Fill, Kind, Layout},
};

/// A concept as it stands in the `concept` table, with its Japanese name.
struct Concept {
    id: i64,
    en: &'static str,
    ja: &'static str,
    domain: &'static str,
    vocabulary: &'static str,
    class: &'static str,
    standard: bool,
    code: &'static str,
}

/// Every vocabulary table with its only batch.
///
/// # Errors
/// If the columns of a table do not fit together.
pub fn tables() -> Result<Vec<(&'static Layout, RecordBatch)>, ArrowError> {
    let concepts = concepts();
    Ok(vec![
        (&CONCEPT, concept_table(&concepts)?),
        (&CONCEPT_SYNONYM, synonym_table(&concepts)?),
        (&CONCEPT_RELATIONSHIP, relationship_rows()?),
        (&CONCEPT_ANCESTOR, ancestor_table(&concepts)?),
        (&VOCABULARY, vocabulary_table(&concepts)?),
        (&DOMAIN, domain_table(&concepts)?),
        (&CONCEPT_CLASS, class_table(&concepts)?),
        (&RELATIONSHIP, relationship_table()?),
    ])
}

/// All concepts, by id.
fn concepts() -> Vec<Concept> {
    let mut all: Vec<Concept> = Vec::new();
    all.extend(PLAIN.iter().map(|p| Concept {
        standard: p.id != 0,
        ..concept(p.id, p.en, p.ja, p.domain, p.vocabulary, p.class, p.code)
    }));
    all.extend(UNITS.iter().map(|u| concept(u.id, u.en, u.ja, "Unit", "UCUM", "Unit", u.ucum)));
    for (position, c) in CONDITIONS.iter().enumerate() {
        all.push(concept(c.id, c.en, c.ja, "Condition", "SNOMED", "Clinical Finding", c.snomed));
        if !c.icd10.is_empty() {
            let class = if c.icd10.contains('.') { "ICD10 code" } else { "ICD10 Hierarchy" };
            all.push(source(local(ICD10_FIRST, position), c.en, c.ja, "Condition", "ICD10", class, c.icd10));
        }
    }
    all.extend(INGREDIENTS.iter().map(|i| concept(i.id, i.en, i.ja, "Drug", "RxNorm", "Ingredient", i.rxnorm)));
    all.extend(CLINICAL_DRUGS.iter().map(|d| concept(d.id, d.en, d.ja, "Drug", "RxNorm", "Clinical Drug", d.rxnorm)));
    for (position, p) in PRODUCTS.iter().enumerate() {
        all.push(source(local(YJ_FIRST, position), p.en, p.ja, "Drug", "YJ", "Drug Product", p.yj));
    }
    for (position, m) in MEASUREMENTS.iter().enumerate() {
        all.push(concept(m.id, m.en, m.ja, "Measurement", "LOINC", "Lab Test", m.loinc));
        all.push(source(local(JLAC10_FIRST, position), m.en, m.ja, "Measurement", "JLAC10", "Lab Test", m.jlac10));
    }
    let mapped = PROCEDURES.iter().filter(|p| p.id != 0);
    all.extend(mapped.map(|p| concept(p.id, p.en, p.ja, "Procedure", "SNOMED", "Procedure", p.snomed)));
    all.sort_by_key(|c| c.id);
    all
}

fn concept(
    id: i64,
    en: &'static str,
    ja: &'static str,
    domain: &'static str,
    vocabulary: &'static str,
    class: &'static str,
    code: &'static str,
) -> Concept {
    Concept { id, en, ja, domain, vocabulary, class, standard: true, code }
}

fn source(
    id: i64,
    en: &'static str,
    ja: &'static str,
    domain: &'static str,
    vocabulary: &'static str,
    class: &'static str,
    code: &'static str,
) -> Concept {
    Concept { standard: false, ..concept(id, en, ja, domain, vocabulary, class, code) }
}

/// Local code and standard concept, for all local codes that map to one.
fn maps() -> Vec<(i64, i64)> {
    let conditions = CONDITIONS.iter().enumerate().filter(|(_, c)| !c.icd10.is_empty());
    let conditions = conditions.map(|(position, c)| (local(ICD10_FIRST, position), c.id));
    let products = PRODUCTS.iter().enumerate().filter(|(_, p)| p.concept != 0);
    let products = products.map(|(position, p)| (local(YJ_FIRST, position), p.concept));
    let tests = MEASUREMENTS.iter().enumerate().map(|(position, m)| (local(JLAC10_FIRST, position), m.id));
    conditions.chain(products).chain(tests).collect()
}

/// Child and parent, for all concepts in a hierarchy.
fn parents() -> Vec<(i64, i64)> {
    let conditions = CONDITIONS.iter().flat_map(|c| c.parents.iter().map(|parent| (c.id, *parent)));
    conditions.chain(CLINICAL_DRUGS.iter().map(|d| (d.id, d.ingredient))).collect()
}

/// (ancestor, descendant) with the shortest and the longest way, every standard concept its own ancestor at 0.
fn ancestors(concepts: &[Concept]) -> BTreeMap<(i64, i64), (i64, i64)> {
    let mut above: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (child, parent) in parents() {
        above.entry(child).or_default().push(parent);
    }
    let mut ways = BTreeMap::new();
    for concept in concepts.iter().filter(|c| c.standard) {
        let mut level: BTreeSet<i64> = BTreeSet::from([concept.id]);
        // The hierarchy is a few levels deep; 16 bounds a mistaken circle.
        for steps in 0..16 {
            for ancestor in &level {
                let way = ways.entry((*ancestor, concept.id)).or_insert((steps, steps));
                way.1 = steps;
            }
            level = level.iter().filter_map(|id| above.get(id)).flatten().copied().collect();
        }
    }
    ways
}

fn concept_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let standard = concepts.iter().map(|c| c.standard.then_some("S"));
    CONCEPT.batch(
        concepts.len(),
        &[
            ("concept_id", longs(concepts.iter().map(|c| c.id))),
            ("concept_name", texts(concepts.iter().map(|c| c.en))),
            ("domain_id", texts(concepts.iter().map(|c| c.domain))),
            ("vocabulary_id", texts(concepts.iter().map(|c| c.vocabulary))),
            ("concept_class_id", texts(concepts.iter().map(|c| c.class))),
            ("standard_concept", Arc::new(standard.collect::<StringArray>()) as ArrayRef),
            ("concept_code", texts(concepts.iter().map(|c| c.code))),
            ("valid_start_date", since(concepts.len())),
            ("valid_end_date", until(concepts.len())),
        ],
    )
}

fn synonym_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let names = || concepts.iter().flat_map(|c| [(c.id, c.en, ENGLISH), (c.id, c.ja, JAPANESE)]);
    CONCEPT_SYNONYM.batch(
        names().count(),
        &[
            ("concept_id", longs(names().map(|n| n.0))),
            ("concept_synonym_name", texts(names().map(|n| n.1))),
            ("language_concept_id", longs(names().map(|n| n.2))),
        ],
    )
}

fn relationship_rows() -> Result<RecordBatch, ArrowError> {
    let mut rows: BTreeSet<(i64, i64, &str)> = BTreeSet::new();
    for (from, to) in maps() {
        rows.extend([(from, to, "Maps to"), (to, from, "Mapped from")]);
    }
    for (child, parent) in parents() {
        rows.extend([(child, parent, "Is a"), (parent, child, "Subsumes")]);
    }
    CONCEPT_RELATIONSHIP.batch(
        rows.len(),
        &[
            ("concept_id_1", longs(rows.iter().map(|r| r.0))),
            ("concept_id_2", longs(rows.iter().map(|r| r.1))),
            ("relationship_id", texts(rows.iter().map(|r| r.2))),
            ("valid_start_date", since(rows.len())),
            ("valid_end_date", until(rows.len())),
        ],
    )
}

fn ancestor_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let ways = ancestors(concepts);
    CONCEPT_ANCESTOR.batch(
        ways.len(),
        &[
            ("ancestor_concept_id", longs(ways.keys().map(|k| k.0))),
            ("descendant_concept_id", longs(ways.keys().map(|k| k.1))),
            ("min_levels_of_separation", longs(ways.values().map(|v| v.0))),
            ("max_levels_of_separation", longs(ways.values().map(|v| v.1))),
        ],
    )
}

fn vocabulary_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let names: BTreeSet<&str> = concepts.iter().map(|c| c.vocabulary).collect();
    VOCABULARY.batch(
        names.len(),
        &[
            ("vocabulary_id", texts(names.iter().copied())),
            ("vocabulary_name", texts(names.iter().copied())),
            ("vocabulary_reference", texts(names.iter().map(|_| "Sekisho synthetic vocabulary: a curated extract"))),
            ("vocabulary_version", texts(names.iter().map(|_| "1"))),
        ],
    )
}

fn domain_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let names: BTreeSet<&str> = concepts.iter().map(|c| c.domain).collect();
    let columns = [("domain_id", texts(names.iter().copied())), ("domain_name", texts(names.iter().copied()))];
    DOMAIN.batch(names.len(), &columns)
}

fn class_table(concepts: &[Concept]) -> Result<RecordBatch, ArrowError> {
    let names: BTreeSet<&str> = concepts.iter().map(|c| c.class).collect();
    CONCEPT_CLASS.batch(
        names.len(),
        &[("concept_class_id", texts(names.iter().copied())), ("concept_class_name", texts(names.iter().copied()))],
    )
}

fn relationship_table() -> Result<RecordBatch, ArrowError> {
    let rows = [
        ("Is a", "0", "0", "Subsumes"),
        ("Mapped from", "0", "0", "Maps to"),
        ("Maps to", "0", "0", "Mapped from"),
        ("Subsumes", "1", "1", "Is a"),
    ];
    RELATIONSHIP.batch(
        rows.len(),
        &[
            ("relationship_id", texts(rows.iter().map(|r| r.0))),
            ("relationship_name", texts(rows.iter().map(|r| r.0))),
            ("is_hierarchical", texts(rows.iter().map(|r| r.1))),
            ("defines_ancestry", texts(rows.iter().map(|r| r.2))),
            ("reverse_relationship_id", texts(rows.iter().map(|r| r.3))),
        ],
    )
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}

/// 1970-01-01, as the OMOP vocabularies write "always".
fn since(rows: usize) -> ArrayRef {
    Arc::new(Date32Array::from_value(0, rows))
}

/// 2099-12-31, as the OMOP vocabularies write "still".
fn until(rows: usize) -> ArrayRef {
    Arc::new(Date32Array::from_value(47_481, rows))
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, fill: Fill::Drawn }
}

const fn none(name: &'static str) -> Column {
    Column { name, kind: Kind::Text, nullable: true, fill: Fill::Empty }
}

const fn nought(name: &'static str) -> Column {
    Column { name, kind: Kind::Long, nullable: false, fill: Fill::Always(0) }
}

use Kind::{Day, Long, Text};

static CONCEPT: Layout = Layout {
    table: "concept",
    columns: &[
        must("concept_id", Long),
        must("concept_name", Text),
        must("domain_id", Text),
        must("vocabulary_id", Text),
        must("concept_class_id", Text),
        Column { name: "standard_concept", kind: Text, nullable: true, fill: Fill::Drawn },
        must("concept_code", Text),
        must("valid_start_date", Day),
        must("valid_end_date", Day),
        none("invalid_reason"),
    ],
};

static CONCEPT_SYNONYM: Layout = Layout {
    table: "concept_synonym",
    columns: &[must("concept_id", Long), must("concept_synonym_name", Text), must("language_concept_id", Long)],
};

static CONCEPT_RELATIONSHIP: Layout = Layout {
    table: "concept_relationship",
    columns: &[
        must("concept_id_1", Long),
        must("concept_id_2", Long),
        must("relationship_id", Text),
        must("valid_start_date", Day),
        must("valid_end_date", Day),
        none("invalid_reason"),
    ],
};

static CONCEPT_ANCESTOR: Layout = Layout {
    table: "concept_ancestor",
    columns: &[
        must("ancestor_concept_id", Long),
        must("descendant_concept_id", Long),
        must("min_levels_of_separation", Long),
        must("max_levels_of_separation", Long),
    ],
};

static VOCABULARY: Layout = Layout {
    table: "vocabulary",
    columns: &[
        must("vocabulary_id", Text),
        must("vocabulary_name", Text),
        must("vocabulary_reference", Text),
        must("vocabulary_version", Text),
        nought("vocabulary_concept_id"),
    ],
};

static DOMAIN: Layout = Layout {
    table: "domain",
    columns: &[must("domain_id", Text), must("domain_name", Text), nought("domain_concept_id")],
};

static CONCEPT_CLASS: Layout = Layout {
    table: "concept_class",
    columns: &[must("concept_class_id", Text), must("concept_class_name", Text), nought("concept_class_concept_id")],
};

static RELATIONSHIP: Layout = Layout {
    table: "relationship",
    columns: &[
        must("relationship_id", Text),
        must("relationship_name", Text),
        must("is_hierarchical", Text),
        must("defines_ancestry", Text),
        must("reverse_relationship_id", Text),
        nought("relationship_concept_id"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_concept_id_stands_for_two_things() {
        let all = concepts();
        let ids: BTreeSet<i64> = all.iter().map(|c| c.id).collect();
        let twice: Vec<i64> = all.windows(2).filter(|w| w[0].id == w[1].id).map(|w| w[0].id).collect();
        assert_eq!(ids.len(), all.len(), "{twice:?}");
        assert!((150..600).contains(&all.len()), "{}", all.len());
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let all = concepts();
        let ids: BTreeSet<i64> = all.iter().filter(|c| c.standard).map(|c| c.id).collect();
        for (from, to) in maps() {
            assert!(ids.contains(&to), "{from} maps to {to}");
        }
        for (child, parent) in parents() {
            assert!(ids.contains(&parent) && ids.contains(&child), "{child} is a {parent}");
        }
        assert!(all.iter().all(|c| !c.en.is_empty() && !c.ja.is_empty() && !c.code.is_empty()));
    }

    #[test]
    fn type_2_diabetes_is_a_diabetes_two_ways_up_to_disease() {
        let ways = ancestors(&concepts());
        assert_eq!(ways.get(&(201_820, 201_826)), Some(&(1, 1)));
        assert_eq!(ways.get(&(4_274_025, 201_826)), Some(&(3, 3)));
        assert_eq!(ways.get(&(1_332_418, 1_332_419)), Some(&(1, 1)), "ingredient to clinical drug");
        assert_eq!(ways.get(&(4_274_025, 4_266_367)), Some(&(2, 2)), "influenza is a disease by lung and by infection");
    }
}
