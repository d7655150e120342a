//! What do the tables of courses look like once every name is looked up?
//!
//! Done once a run, so that drawing a row needs neither a search nor an allocation.

use super::{
    body::Illness,
    codes::{
        ICD10_FIRST, JLAC10_FIRST, YJ_FIRST,
        conditions::CONDITIONS,
        drugs::{PRODUCTS, Route},
        local,
        measurements::{MEASUREMENTS, Measurement, Test},
        others::{self, PROCEDURES},
    },
    course::{ACUTE, Acute, CHRONIC, Chronic},
};

/// A standard concept with the code that the record writes for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coded {
    pub concept: i64,
    pub source: &'static str,
    pub source_concept: i64,
}

/// A product, ready to be written.
#[derive(Debug, Clone, Copy)]
pub struct Medicine {
    pub coded: Coded,
    pub route: i64,
    pub injected: bool,
    pub units_a_day: f64,
    pub days_acute: i64,
}

/// A measurement, ready to be written.
pub struct Assay {
    pub measurement: &'static Measurement,
    pub source_concept: i64,
    pub type_concept: i64,
}

/// A chronic condition, looked up.
pub struct ChronicModel {
    pub table: &'static Chronic,
    pub coded: Coded,
    /// Places of the conditions that raise it, with the factor.
    pub raised_by: Vec<(usize, f64)>,
    pub medicines: Vec<(Medicine, f64)>,
    pub procedures: Vec<(Coded, f64)>,
    pub marks: fn(&mut Illness),
}

/// An acute condition, looked up.
pub struct AcuteModel {
    pub table: &'static Acute,
    pub coded: Coded,
    /// The chronic condition without which it does not come.
    pub only_with: Option<usize>,
    pub medicines: Vec<(Medicine, f64)>,
    pub procedures: Vec<(Coded, f64)>,
}

/// All of it.
pub struct Model {
    pub chronic: Vec<ChronicModel>,
    pub acute: Vec<AcuteModel>,
    pub assays: Vec<Assay>,
    pub death_causes: Vec<Coded>,
}

impl Model {
    /// Look everything up. Names that are missing are left out; a test makes sure that none is.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chronic: CHRONIC.iter().filter_map(chronic).collect(),
            acute: ACUTE.iter().filter_map(acute).collect(),
            assays: MEASUREMENTS.iter().enumerate().map(assay).collect(),
            death_causes: ["I50.9", "J18.9", "I63.9", "I21.9"].into_iter().filter_map(condition).collect(),
        }
    }
}

fn chronic(table: &'static Chronic) -> Option<ChronicModel> {
    Some(ChronicModel {
        table,
        coded: condition(table.icd10)?,
        raised_by: table.raised_by.iter().filter_map(|(icd10, by)| Some((place(icd10)?, *by))).collect(),
        medicines: medicines(table.drugs),
        procedures: procedures(table.procedures),
        marks: marks(table.icd10),
    })
}

fn acute(table: &'static Acute) -> Option<AcuteModel> {
    Some(AcuteModel {
        table,
        coded: condition(table.icd10)?,
        only_with: place(table.icd10),
        medicines: medicines(table.drugs),
        procedures: procedures(table.procedures),
    })
}

fn assay((position, measurement): (usize, &'static Measurement)) -> Assay {
    let vital = matches!(
        measurement.test,
        Test::Systolic
            | Test::Diastolic
            | Test::Height
            | Test::Weight
            | Test::Bmi
            | Test::HeartRate
            | Test::Temperature
            | Test::Saturation
    );
    Assay {
        measurement,
        source_concept: local(JLAC10_FIRST, position),
        type_concept: if vital { others::RECORD } else { others::LABORATORY },
    }
}

fn place(icd10: &str) -> Option<usize> {
    CHRONIC.iter().position(|c| c.icd10 == icd10)
}

fn condition(icd10: &str) -> Option<Coded> {
    let (position, condition) = CONDITIONS.iter().enumerate().find(|(_, c)| c.icd10 == icd10)?;
    Some(Coded { concept: condition.id, source: condition.icd10, source_concept: local(ICD10_FIRST, position) })
}

fn medicines(named: &[(&str, f64)]) -> Vec<(Medicine, f64)> {
    named.iter().filter_map(|(key, share)| Some((medicine(key)?, *share))).collect()
}

fn medicine(key: &str) -> Option<Medicine> {
    let (position, product) = PRODUCTS.iter().enumerate().find(|(_, p)| p.key == key)?;
    Some(Medicine {
        coded: Coded { concept: product.concept, source: product.yj, source_concept: local(YJ_FIRST, position) },
        route: others::route(product.route),
        injected: product.route == Route::Injection,
        units_a_day: product.units_a_day,
        days_acute: product.days_acute,
    })
}

fn procedures(named: &[(&str, f64)]) -> Vec<(Coded, f64)> {
    named.iter().filter_map(|(key, share)| Some((procedure(key)?, *share))).collect()
}

fn procedure(key: &str) -> Option<Coded> {
    let found = PROCEDURES.iter().find(|p| p.key == key)?;
    Some(Coded { concept: found.id, source: found.key, source_concept: 0 })
}

fn marks(icd10: &str) -> fn(&mut Illness) {
    match icd10 {
        "E11" => |i| i.diabetes = true,
        "E10" => |i| (i.diabetes, i.insulin_dependent) = (true, true),
        "I10" => |i| i.hypertension = true,
        "E78.5" => |i| i.hyperlipidemia = true,
        "E66.9" => |i| i.obesity = true,
        "N18.3" => |i| i.kidney = true,
        "N18.5" => |i| i.dialysis = true,
        "K76.0" | "B18.2" | "K74.6" => |i| i.liver = true,
        "M10.9" => |i| i.gout = true,
        "I50.9" => |i| i.heart_failure = true,
        "D50.9" => |i| i.anemia = true,
        "E03.9" => |i| i.hypothyroid = true,
        "C61" => |i| i.prostate_cancer = true,
        _ => |_| (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_courses_is_known() {
        let model = Model::new();
        assert_eq!((model.chronic.len(), model.acute.len()), (CHRONIC.len(), ACUTE.len()));
        assert_eq!(model.death_causes.len(), 4);
        assert!(CHRONIC.len() <= 64, "the set of a person's conditions is 64 bits wide");
        for (place, c) in model.chronic.iter().enumerate() {
            assert_eq!(c.medicines.len(), c.table.drugs.len(), "{}", c.table.icd10);
            assert_eq!(c.procedures.len(), c.table.procedures.len(), "{}", c.table.icd10);
            assert_eq!(c.raised_by.len(), c.table.raised_by.len(), "{}", c.table.icd10);
            assert!(c.raised_by.iter().all(|(earlier, _)| *earlier < place), "{}", c.table.icd10);
        }
        for a in &model.acute {
            assert_eq!(a.medicines.len(), a.table.drugs.len(), "{}", a.table.icd10);
            assert_eq!(a.procedures.len(), a.table.procedures.len(), "{}", a.table.icd10);
        }
    }

    #[test]
    fn the_measurements_stand_in_the_order_of_the_tests() {
        let model = Model::new();
        for (position, assay) in model.assays.iter().enumerate() {
            assert_eq!(assay.measurement.test as usize, position, "{}", assay.measurement.en);
        }
        assert!(model.assays.len() <= 64, "the set of tests at a visit is 64 bits wide");
    }
}
