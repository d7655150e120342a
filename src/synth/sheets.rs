//! In what are the rows of a block gathered, column by column, before they become a file?

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        ArrayBuilder, ArrayRef, Date32Builder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    error::ArrowError,
};

use super::layout;

macro_rules! sheet {
    ($(#[$doc:meta])* $name:ident of $layout:ident, counted by $first:ident { $($column:ident: $builder:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name {
            $(pub $column: $builder,)*
        }

        impl $name {
            fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
                let rows = self.$first.len();
                layout::$layout.batch(rows, &[$((stringify!($column), Arc::new(self.$column.finish()) as ArrayRef),)*])
            }
        }
    };
}

sheet!(PersonSheet of PERSON, counted by person_id {
    person_id: Int64Builder,
    gender_concept_id: Int64Builder,
    year_of_birth: Int64Builder,
    month_of_birth: Int64Builder,
    day_of_birth: Int64Builder,
    birth_datetime: TimestampMicrosecondBuilder,
    location_id: Int64Builder,
    care_site_id: Int64Builder,
    person_source_value: StringBuilder,
    gender_source_value: StringBuilder,
});

sheet!(PeriodSheet of OBSERVATION_PERIOD, counted by person_id {
    observation_period_id: Int64Builder,
    person_id: Int64Builder,
    observation_period_start_date: Date32Builder,
    observation_period_end_date: Date32Builder,
});

sheet!(VisitSheet of VISIT_OCCURRENCE, counted by person_id {
    visit_occurrence_id: Int64Builder,
    person_id: Int64Builder,
    visit_concept_id: Int64Builder,
    visit_start_date: Date32Builder,
    visit_end_date: Date32Builder,
    care_site_id: Int64Builder,
    visit_source_value: StringBuilder,
    preceding_visit_occurrence_id: Int64Builder,
});

sheet!(ConditionSheet of CONDITION_OCCURRENCE, counted by person_id {
    condition_occurrence_id: Int64Builder,
    person_id: Int64Builder,
    condition_concept_id: Int64Builder,
    condition_start_date: Date32Builder,
    condition_end_date: Date32Builder,
    visit_occurrence_id: Int64Builder,
    condition_source_value: StringBuilder,
    condition_source_concept_id: Int64Builder,
});

sheet!(DrugSheet of DRUG_EXPOSURE, counted by person_id {
    drug_exposure_id: Int64Builder,
    person_id: Int64Builder,
    drug_concept_id: Int64Builder,
    drug_exposure_start_date: Date32Builder,
    drug_exposure_end_date: Date32Builder,
    drug_type_concept_id: Int64Builder,
    quantity: Float64Builder,
    days_supply: Int64Builder,
    route_concept_id: Int64Builder,
    visit_occurrence_id: Int64Builder,
    drug_source_value: StringBuilder,
    drug_source_concept_id: Int64Builder,
});

sheet!(ProcedureSheet of PROCEDURE_OCCURRENCE, counted by person_id {
    procedure_occurrence_id: Int64Builder,
    person_id: Int64Builder,
    procedure_concept_id: Int64Builder,
    procedure_date: Date32Builder,
    visit_occurrence_id: Int64Builder,
    procedure_source_value: StringBuilder,
});

sheet!(MeasurementSheet of MEASUREMENT, counted by person_id {
    measurement_id: Int64Builder,
    person_id: Int64Builder,
    measurement_concept_id: Int64Builder,
    measurement_date: Date32Builder,
    measurement_type_concept_id: Int64Builder,
    operator_concept_id: Int64Builder,
    value_as_number: Float64Builder,
    unit_concept_id: Int64Builder,
    range_low: Float64Builder,
    range_high: Float64Builder,
    visit_occurrence_id: Int64Builder,
    measurement_source_value: StringBuilder,
    measurement_source_concept_id: Int64Builder,
    unit_source_value: StringBuilder,
});

sheet!(ObservationSheet of OBSERVATION, counted by person_id {
    observation_id: Int64Builder,
    person_id: Int64Builder,
    observation_concept_id: Int64Builder,
    observation_date: Date32Builder,
    value_as_concept_id: Int64Builder,
    visit_occurrence_id: Int64Builder,
    observation_source_value: StringBuilder,
});

sheet!(DeathSheet of DEATH, counted by person_id {
    person_id: Int64Builder,
    death_date: Date32Builder,
    cause_concept_id: Int64Builder,
    cause_source_value: StringBuilder,
    cause_source_concept_id: Int64Builder,
});

/// All tables of one block.
#[derive(Default)]
pub struct Sheets {
    pub person: PersonSheet,
    pub period: PeriodSheet,
    pub visit: VisitSheet,
    pub condition: ConditionSheet,
    pub drug: DrugSheet,
    pub procedure: ProcedureSheet,
    pub measurement: MeasurementSheet,
    pub observation: ObservationSheet,
    pub death: DeathSheet,
}

impl Sheets {
    /// The gathered rows as one batch a table, in the order of [`layout::UNIT`].
    ///
    /// # Errors
    /// If the columns of a table do not fit together.
    pub fn finish(&mut self) -> Result<[RecordBatch; 9], ArrowError> {
        Ok([
            self.person.finish()?,
            self.period.finish()?,
            self.visit.finish()?,
            self.condition.finish()?,
            self.drug.finish()?,
            self.procedure.finish()?,
            self.measurement.finish()?,
            self.observation.finish()?,
            self.death.finish()?,
        ])
    }
}
