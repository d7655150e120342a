//! Which columns does each OMOP CDM 5.4 table have, and what stands in those that the generator never draws?

use std::sync::Arc;

use datafusion::arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};

use super::codes::others::{ALGORITHM, DEATH_CERTIFICATE, ENCOUNTER, RECORD};
use Kind::{Day, Double, Long, Moment, Text};

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Long,
    Double,
    Text,
    Day,
    Moment,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Values that the generator draws.
    Drawn,
    /// The same number in every row.
    Always(i64),
    /// NULL in every row.
    Empty,
}

/// A column.
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
    pub fill: Fill,
}

/// A table: its name is also the name of its file.
pub struct Layout {
    pub table: &'static str,
    pub columns: &'static [Column],
}

impl Layout {
    /// The Arrow schema.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(c.name, data_type(c.kind), c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Drawn columns, by name, completed to a batch of the whole table.
    ///
    /// # Errors
    /// If a drawn column is missing or of the wrong type or length.
    pub fn batch(&self, rows: usize, drawn: &[(&'static str, ArrayRef)]) -> Result<RecordBatch, ArrowError> {
        let arrays = self.columns.iter().map(|column| match column.fill {
            Fill::Always(value) => Ok(Arc::new(Int64Array::from_value(value, rows)) as ArrayRef),
            Fill::Empty => Ok(new_null_array(&data_type(column.kind), rows)),
            Fill::Drawn => drawn
                .iter()
                .find_map(|(name, array)| (*name == column.name).then(|| Arc::clone(array)))
                .ok_or_else(|| ArrowError::SchemaError(format!("{}.{} was not drawn", self.table, column.name))),
        });
        RecordBatch::try_new(self.schema(), arrays.collect::<Result<Vec<_>, _>>()?)
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Long => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Text => DataType::Utf8,
        Kind::Day => DataType::Date32,
        Kind::Moment => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, fill: Fill::Drawn }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true, fill: Fill::Drawn }
}

const fn always(name: &'static str, value: i64) -> Column {
    Column { name, kind: Kind::Long, nullable: false, fill: Fill::Always(value) }
}

const fn empty(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true, fill: Fill::Empty }
}

/// `person`
pub const PERSON: Layout = Layout {
    table: "person",
    columns: &[
        must("person_id", Long),
        must("gender_concept_id", Long),
        must("year_of_birth", Long),
        may("month_of_birth", Long),
        may("day_of_birth", Long),
        may("birth_datetime", Moment),
        always("race_concept_id", 0),
        always("ethnicity_concept_id", 0),
        may("location_id", Long),
        empty("provider_id", Long),
        may("care_site_id", Long),
        may("person_source_value", Text),
        may("gender_source_value", Text),
        always("gender_source_concept_id", 0),
        empty("race_source_value", Text),
        always("race_source_concept_id", 0),
        empty("ethnicity_source_value", Text),
        always("ethnicity_source_concept_id", 0),
    ],
};

/// `observation_period`
pub const OBSERVATION_PERIOD: Layout = Layout {
    table: "observation_period",
    columns: &[
        must("observation_period_id", Long),
        must("person_id", Long),
        must("observation_period_start_date", Day),
        must("observation_period_end_date", Day),
        always("period_type_concept_id", ALGORITHM),
    ],
};

/// `visit_occurrence`
pub const VISIT_OCCURRENCE: Layout = Layout {
    table: "visit_occurrence",
    columns: &[
        must("visit_occurrence_id", Long),
        must("person_id", Long),
        must("visit_concept_id", Long),
        must("visit_start_date", Day),
        empty("visit_start_datetime", Moment),
        must("visit_end_date", Day),
        empty("visit_end_datetime", Moment),
        always("visit_type_concept_id", ENCOUNTER),
        empty("provider_id", Long),
        may("care_site_id", Long),
        may("visit_source_value", Text),
        always("visit_source_concept_id", 0),
        empty("admitted_from_concept_id", Long),
        empty("admitted_from_source_value", Text),
        empty("discharged_to_concept_id", Long),
        empty("discharged_to_source_value", Text),
        may("preceding_visit_occurrence_id", Long),
    ],
};

/// `condition_occurrence`
pub const CONDITION_OCCURRENCE: Layout = Layout {
    table: "condition_occurrence",
    columns: &[
        must("condition_occurrence_id", Long),
        must("person_id", Long),
        must("condition_concept_id", Long),
        must("condition_start_date", Day),
        empty("condition_start_datetime", Moment),
        may("condition_end_date", Day),
        empty("condition_end_datetime", Moment),
        always("condition_type_concept_id", RECORD),
        empty("condition_status_concept_id", Long),
        empty("stop_reason", Text),
        empty("provider_id", Long),
        may("visit_occurrence_id", Long),
        empty("visit_detail_id", Long),
        may("condition_source_value", Text),
        must("condition_source_concept_id", Long),
        empty("condition_status_source_value", Text),
    ],
};

/// `drug_exposure`
pub const DRUG_EXPOSURE: Layout = Layout {
    table: "drug_exposure",
    columns: &[
        must("drug_exposure_id", Long),
        must("person_id", Long),
        must("drug_concept_id", Long),
        must("drug_exposure_start_date", Day),
        empty("drug_exposure_start_datetime", Moment),
        must("drug_exposure_end_date", Day),
        empty("drug_exposure_end_datetime", Moment),
        empty("verbatim_end_date", Day),
        must("drug_type_concept_id", Long),
        empty("stop_reason", Text),
        empty("refills", Long),
        may("quantity", Double),
        may("days_supply", Long),
        empty("sig", Text),
        must("route_concept_id", Long),
        empty("lot_number", Text),
        empty("provider_id", Long),
        may("visit_occurrence_id", Long),
        empty("visit_detail_id", Long),
        may("drug_source_value", Text),
        must("drug_source_concept_id", Long),
        empty("route_source_value", Text),
        empty("dose_unit_source_value", Text),
    ],
};

/// `procedure_occurrence`
pub const PROCEDURE_OCCURRENCE: Layout = Layout {
    table: "procedure_occurrence",
    columns: &[
        must("procedure_occurrence_id", Long),
        must("person_id", Long),
        must("procedure_concept_id", Long),
        must("procedure_date", Day),
        empty("procedure_datetime", Moment),
        empty("procedure_end_date", Day),
        empty("procedure_end_datetime", Moment),
        always("procedure_type_concept_id", RECORD),
        empty("modifier_concept_id", Long),
        always("quantity", 1),
        empty("provider_id", Long),
        may("visit_occurrence_id", Long),
        empty("visit_detail_id", Long),
        may("procedure_source_value", Text),
        always("procedure_source_concept_id", 0),
        empty("modifier_source_value", Text),
    ],
};

/// `measurement`
pub const MEASUREMENT: Layout = Layout {
    table: "measurement",
    columns: &[
        must("measurement_id", Long),
        must("person_id", Long),
        must("measurement_concept_id", Long),
        must("measurement_date", Day),
        empty("measurement_datetime", Moment),
        empty("measurement_time", Text),
        must("measurement_type_concept_id", Long),
        may("operator_concept_id", Long),
        may("value_as_number", Double),
        empty("value_as_concept_id", Long),
        may("unit_concept_id", Long),
        may("range_low", Double),
        may("range_high", Double),
        empty("provider_id", Long),
        may("visit_occurrence_id", Long),
        empty("visit_detail_id", Long),
        may("measurement_source_value", Text),
        must("measurement_source_concept_id", Long),
        may("unit_source_value", Text),
        empty("unit_source_concept_id", Long),
        empty("value_source_value", Text),
        empty("measurement_event_id", Long),
        empty("meas_event_field_concept_id", Long),
    ],
};

/// `observation`
pub const OBSERVATION: Layout = Layout {
    table: "observation",
    columns: &[
        must("observation_id", Long),
        must("person_id", Long),
        must("observation_concept_id", Long),
        must("observation_date", Day),
        empty("observation_datetime", Moment),
        always("observation_type_concept_id", RECORD),
        empty("value_as_number", Double),
        empty("value_as_string", Text),
        may("value_as_concept_id", Long),
        empty("qualifier_concept_id", Long),
        empty("unit_concept_id", Long),
        empty("provider_id", Long),
        may("visit_occurrence_id", Long),
        empty("visit_detail_id", Long),
        may("observation_source_value", Text),
        always("observation_source_concept_id", 0),
        empty("unit_source_value", Text),
        empty("qualifier_source_value", Text),
        empty("value_source_value", Text),
        empty("observation_event_id", Long),
        empty("obs_event_field_concept_id", Long),
    ],
};

/// `death`
pub const DEATH: Layout = Layout {
    table: "death",
    columns: &[
        must("person_id", Long),
        must("death_date", Day),
        empty("death_datetime", Moment),
        always("death_type_concept_id", DEATH_CERTIFICATE),
        may("cause_concept_id", Long),
        may("cause_source_value", Text),
        may("cause_source_concept_id", Long),
    ],
};

/// `location`
pub const LOCATION: Layout = Layout {
    table: "location",
    columns: &[
        must("location_id", Long),
        empty("address_1", Text),
        empty("address_2", Text),
        empty("city", Text),
        may("state", Text),
        empty("zip", Text),
        empty("county", Text),
        may("location_source_value", Text),
        always("country_concept_id", 0),
        may("country_source_value", Text),
        empty("latitude", Double),
        empty("longitude", Double),
    ],
};

/// `care_site`
pub const CARE_SITE: Layout = Layout {
    table: "care_site",
    columns: &[
        must("care_site_id", Long),
        may("care_site_name", Text),
        must("place_of_service_concept_id", Long),
        must("location_id", Long),
        may("care_site_source_value", Text),
        empty("place_of_service_source_value", Text),
    ],
};

/// The tables about persons, in the order in which they are written.
pub const UNIT: [&Layout; 9] = [
    &PERSON,
    &OBSERVATION_PERIOD,
    &VISIT_OCCURRENCE,
    &CONDITION_OCCURRENCE,
    &DRUG_EXPOSURE,
    &PROCEDURE_OCCURRENCE,
    &MEASUREMENT,
    &OBSERVATION,
    &DEATH,
];
