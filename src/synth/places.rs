//! Where do synthetic persons live and get care?

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    error::ArrowError,
};

use super::{
    codes::others::{INPATIENT_HOSPITAL, OFFICE, OUTPATIENT_HOSPITAL},
    layout::{CARE_SITE, LOCATION, Layout},
    person::{CARE_SITES_EACH, PREFECTURES},
};

const KINDS: [(&str, i64); CARE_SITES_EACH as usize] = [
    ("University Hospital", INPATIENT_HOSPITAL),
    ("General Hospital", OUTPATIENT_HOSPITAL),
    ("Clinic East", OFFICE),
    ("Clinic West", OFFICE),
];

/// The tables `location` and `care_site`, each with its only batch.
///
/// # Errors
/// If the columns of a table do not fit together.
pub fn tables() -> Result<Vec<(&'static Layout, RecordBatch)>, ArrowError> {
    Ok(vec![(&LOCATION, locations()?), (&CARE_SITE, care_sites()?)])
}

fn locations() -> Result<RecordBatch, ArrowError> {
    let numbers = (1_i64..).take(PREFECTURES.len());
    LOCATION.batch(
        PREFECTURES.len(),
        &[
            ("location_id", Arc::new(numbers.collect::<Int64Array>()) as ArrayRef),
            ("state", texts(PREFECTURES.iter().map(|p| p.0.to_owned()))),
            ("location_source_value", texts(PREFECTURES.iter().map(|p| p.1.to_owned()))),
            ("country_source_value", texts(PREFECTURES.iter().map(|_| "JPN".to_owned()))),
        ],
    )
}

fn care_sites() -> Result<RecordBatch, ArrowError> {
    let sites = || {
        let of_each = |(prefecture, (name, _)): (i64, &(&'static str, &'static str))| {
            let name: &'static str = name;
            KINDS.iter().map(move |(kind, place)| (prefecture, format!("{name} {kind} (synthetic)"), *place))
        };
        (1_i64..).zip(&PREFECTURES).flat_map(of_each)
    };
    let numbers = || (1_i64..).take(sites().count());
    CARE_SITE.batch(
        sites().count(),
        &[
            ("care_site_id", Arc::new(numbers().collect::<Int64Array>()) as ArrayRef),
            ("care_site_name", texts(sites().map(|s| s.1))),
            ("place_of_service_concept_id", Arc::new(sites().map(|s| s.2).collect::<Int64Array>())),
            ("location_id", Arc::new(sites().map(|s| s.0).collect::<Int64Array>())),
            ("care_site_source_value", texts(numbers().map(|n| format!("S{n:04}")))),
        ],
    )
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}
