//! What happens to a person, from the first day of observation to the last?
//!
//! Illnesses first, then the levels of the body, then visits for what is chronic, episodes of what is acute, yearly
//! health checks, and death. Every event is written as it is drawn.

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::{array::RecordBatch, error::ArrowError};

use super::{
    body::{Body, Illness},
    chance::{Chance, Disguise},
    codes::{
        measurements::Test,
        others::{
            ADMINISTRATION, DRUG_ALLERGY, EMERGENCY, EQUALS, EX_SMOKER, FEMALE, INPATIENT, MALE, NEVER_SMOKED,
            OUTPATIENT, PRESCRIPTION, SMOKER, SMOKING,
        },
    },
    model::{AcuteModel, ChronicModel, Coded, Medicine, Model},
    person::{FIRST_DAY, LAST_DAY, Person, days_since_1970},
    sheets::Sheets,
};

/// Share of events whose link to the visit is lost.
const LOST_VISIT: f64 = 0.04;
/// Share of measurements without a value.
const LOST_VALUE: f64 = 0.025;
/// Row numbers of a block; 4,096 persons would need 4,096 rows each to exceed it.
const SERIAL_BITS: u32 = 24;

/// The hand that writes the lives of one block of persons.
pub struct Scribe<'m> {
    model: &'m Model,
    chance: Chance,
    disguise: Disguise,
    chart: Disguise,
    next_row: i64,
    sheets: Sheets,
    active: Vec<Active<'m>>,
    taken: Vec<(i32, &'m Medicine)>,
}

struct Active<'m> {
    condition: &'m ChronicModel,
    onset: i32,
    recorded: bool,
}

#[derive(Clone, Copy)]
struct Visit {
    id: i64,
    day: i32,
    inpatient: bool,
}

impl<'m> Scribe<'m> {
    /// A scribe for a block of a seed's population.
    #[must_use]
    pub fn new(model: &'m Model, seed: u64, block: u64) -> Self {
        Self {
            model,
            chance: Chance::of_block(seed, block),
            disguise: Disguise::of(seed, 0),
            chart: Disguise::of(seed, 1),
            next_row: i64::try_from(block).unwrap_or(0) << SERIAL_BITS,
            sheets: Sheets::default(),
            active: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// The rows written, one batch a table, in the order of [`super::layout::UNIT`].
    ///
    /// # Errors
    /// If the columns of a table do not fit together.
    pub fn finish(mut self) -> Result<[RecordBatch; 9], ArrowError> {
        self.sheets.finish()
    }

    /// Write the life of the person of this index in the population.
    pub fn write(&mut self, index: u64) {
        let person = Person::draw(self.disguise.hide(index), &mut self.chance);
        self.person(&person, index);
        let (held, illness) = self.fall_ill(&person);
        let body = Body::draw(&person, illness, &mut self.chance);
        if self.chance.chance(0.03) {
            self.observe(&person, DRUG_ALLERGY, None, "薬剤アレルギー", person.first, None);
        }
        self.follow_up(&person, &body);
        let model = self.model;
        for acute in &model.acute {
            if acute.only_with.is_none_or(|place| held & (1 << place) != 0) {
                self.episodes(&person, &body, acute);
            }
        }
        self.health_checks(&person, &body);
        if person.dies {
            self.die(&person);
        }
    }

    /// Draw the chronic conditions and the drugs taken for them.
    fn fall_ill(&mut self, person: &Person) -> (u64, Illness) {
        self.active.clear();
        self.taken.clear();
        let (mut held, mut illness) = (0_u64, Illness::default());
        let decade = usize::try_from(person.age(person.last) / 10).unwrap_or(0).min(9);
        let model = self.model;
        for (place, condition) in model.chronic.iter().enumerate() {
            let mut share = condition.table.men.get(decade).copied().unwrap_or(0.0);
            share *= if person.woman { condition.table.women } else { 1.0 };
            for (earlier, factor) in &condition.raised_by {
                share *= if held & (1 << earlier) != 0 { *factor } else { 1.0 };
            }
            if !self.chance.chance(share.min(0.85)) {
                continue;
            }
            held |= 1 << place;
            (condition.marks)(&mut illness);
            let onset =
                if self.chance.chance(0.75) { person.first } else { self.chance.day(person.first, person.last) };
            self.active.push(Active { condition, onset, recorded: false });
            for (medicine, share) in &condition.medicines {
                if self.chance.chance(*share) {
                    self.taken.push((onset, medicine));
                    illness.statin |= medicine.coded.source.starts_with("21890");
                    illness.warfarin |= medicine.coded.source.starts_with("3332001");
                }
            }
        }
        (held, illness)
    }

    /// Regular visits for what is chronic.
    fn follow_up(&mut self, person: &Person, body: &Body) {
        let wanted = self.active.iter().map(|a| i32::from(a.condition.table.visit_days)).filter(|d| *d > 0).min();
        let Some(wanted) = wanted else { return };
        // A few come far more often than the table says: the long tail of heavy users.
        let habit = if self.chance.chance(0.03) { 0.4 } else { 1.0 + self.chance.even() };
        #[expect(clippy::cast_possible_truncation, reason = "a few hundred days at most")]
        let every = ((f64::from(wanted) * habit) as i32).max(7);
        let mut day = person.first.saturating_add(self.chance.day(0, every));
        let mut before = None;
        while day <= person.last {
            let visit = self.visit(person, OUTPATIENT, day, day, "外来", before);
            before = Some(visit.id);
            self.review(person, body, visit, every);
            day = day.saturating_add(every).saturating_add(self.chance.day(-every / 4, every / 4)).max(day + 1);
        }
    }

    /// One regular visit: what is recorded, prescribed, tested and done.
    fn review(&mut self, person: &Person, body: &Body, visit: Visit, every: i32) {
        let (mut tests, active) = (0_u64, std::mem::take(&mut self.active));
        let mut active = active;
        for a in active.iter_mut().filter(|a| a.onset <= visit.day) {
            if !a.recorded || self.chance.chance(0.12) {
                a.recorded = true;
                self.diagnose(person, a.condition.coded, visit, None);
            }
            tests |= self.asked(a.condition.table.tests, 0.31);
            for (procedure, often) in &a.condition.procedures {
                if self.chance.chance(*often) {
                    self.treat(person, *procedure, visit);
                }
            }
        }
        self.active = active;
        let taken = std::mem::take(&mut self.taken);
        for (_, medicine) in taken.iter().filter(|(onset, _)| *onset <= visit.day) {
            if self.chance.chance(0.62) {
                self.prescribe(person, medicine, visit, i64::from(every));
            }
        }
        self.taken = taken;
        self.test(person, body, tests, visit, visit.day, false);
    }

    /// Episodes of an acute condition, each with a visit or a stay.
    fn episodes(&mut self, person: &Person, body: &Body, acute: &'m AcuteModel) {
        let decade = usize::try_from(person.age(person.first) / 10).unwrap_or(0).min(9);
        let rate = acute.table.rate.get(decade).copied().unwrap_or(0.0);
        let rate = if person.woman { rate * acute.table.women } else { rate };
        // Drawn over all four years and kept if observed, so that the season does not depend on the observation.
        for _ in 0..self.chance.times(rate * 4.0) {
            let day = self.season_day(&acute.table.months);
            if day < person.first || day > person.last {
                continue;
            }
            let (young, old) = acute.table.admitted;
            let visit = if self.chance.chance(if person.age(day) < 65 { young } else { old }) {
                self.stay(person, body, day)
            } else if self.chance.chance(0.05) {
                self.visit(person, EMERGENCY, day, day, "救急", None)
            } else {
                self.visit(person, OUTPATIENT, day, day, "外来", None)
            };
            let ends = self.chance.chance(0.9).then(|| day.saturating_add(self.chance.day(3, 21)).min(person.last));
            self.diagnose(person, acute.coded, visit, ends);
            for (medicine, often) in &acute.medicines {
                if self.chance.chance(*often) {
                    self.prescribe(person, medicine, visit, medicine.days_acute);
                }
            }
            for (procedure, often) in &acute.procedures {
                if self.chance.chance(*often) {
                    self.treat(person, *procedure, visit);
                }
            }
            let tests = self.asked(acute.table.tests, 1.0);
            self.test(person, body, tests, visit, day, true);
        }
    }

    /// A stay in hospital, with blood drawn every third day or so.
    fn stay(&mut self, person: &Person, body: &Body, day: i32) -> Visit {
        let bell = self.chance.bell();
        #[expect(clippy::cast_possible_truncation, reason = "a few months at most")]
        let nights = (3.0 + bell * bell * 11.0) as i32;
        let last = day.saturating_add(nights).min(person.last);
        let visit = self.visit(person, INPATIENT, day, last, "入院", None);
        let mut round = day.saturating_add(1);
        while round <= last {
            let tests = self.asked(ROUND, 1.0);
            self.test(person, body, tests, visit, round, true);
            round = round.saturating_add(self.chance.day(2, 5));
        }
        visit
    }

    /// Yearly health checks, mostly from 40 on.
    fn health_checks(&mut self, person: &Person, body: &Body) {
        let (mut smokes, goes) = (None, self.chance.even());
        for year in 0..4 {
            let day = self.chance.day(FIRST_DAY + year * 365 + 90, FIRST_DAY + year * 365 + 330);
            let age = person.age(day);
            let goes_at_this_age = if age < 20 {
                0.0
            } else if age < 40 {
                0.2
            } else {
                0.36
            };
            if day < person.first || day > person.last || goes > goes_at_this_age || self.chance.chance(0.25) {
                continue;
            }
            let visit = self.visit(person, OUTPATIENT, day, day, "健診", None);
            let tests = self.asked(CHECK, 1.0);
            self.test(person, body, tests, visit, day, false);
            let habit = *smokes.get_or_insert_with(|| smoking(person, &mut self.chance));
            self.observe(person, SMOKING, Some(habit), "喫煙歴", day, Some(visit));
        }
    }

    fn season_day(&mut self, months: &[u32; 12]) -> i32 {
        let year = 2021_i32.saturating_add(i32::try_from(self.chance.below(4)).unwrap_or(0));
        let month = u32::try_from(self.chance.weighted(months)).unwrap_or(0).saturating_add(1);
        let day = self.chance.below(31);
        NaiveDate::from_ymd_opt(year, month, 1)
            .map_or(FIRST_DAY, |first| days_since_1970(first).saturating_add(i32::try_from(day).unwrap_or(0)))
            .min(LAST_DAY)
    }

    /// Which of these tests are asked for, as a set of bits.
    fn asked(&mut self, tests: &[(Test, f64)], scale: f64) -> u64 {
        tests.iter().fold(
            0,
            |set, (test, often)| {
                if self.chance.chance(often * scale) { set | (1 << (*test as u64)) } else { set }
            },
        )
    }

    fn row(&mut self) -> i64 {
        self.next_row = self.next_row.saturating_add(1);
        self.next_row
    }

    fn link(&mut self, visit: Visit) -> Option<i64> {
        (!self.chance.chance(LOST_VISIT)).then_some(visit.id)
    }

    fn person(&mut self, person: &Person, index: u64) {
        let row = self.row();
        let to = &mut self.sheets.person;
        to.person_id.append_value(person.id);
        to.gender_concept_id.append_value(if person.woman { FEMALE } else { MALE });
        to.year_of_birth.append_value(i64::from(person.born.year()));
        to.month_of_birth.append_value(i64::from(person.born.month()));
        to.day_of_birth.append_value(i64::from(person.born.day()));
        to.birth_datetime.append_value(i64::from(person.born_day).saturating_mul(86_400_000_000));
        to.location_id.append_value(person.prefecture);
        to.care_site_id.append_value(person.care_site);
        to.person_source_value.append_value(format!("KARTE-{:016x}", self.chart.hide(index)));
        to.gender_source_value.append_value(if person.woman { "F" } else { "M" });
        let to = &mut self.sheets.period;
        to.observation_period_id.append_value(row);
        to.person_id.append_value(person.id);
        to.observation_period_start_date.append_value(person.first);
        to.observation_period_end_date.append_value(person.last);
    }

    fn visit(
        &mut self,
        person: &Person,
        concept: i64,
        day: i32,
        last: i32,
        source: &str,
        before: Option<i64>,
    ) -> Visit {
        let id = self.row();
        let site = (!self.chance.chance(0.02)).then_some(person.care_site);
        let to = &mut self.sheets.visit;
        to.visit_occurrence_id.append_value(id);
        to.person_id.append_value(person.id);
        to.visit_concept_id.append_value(concept);
        to.visit_start_date.append_value(day);
        to.visit_end_date.append_value(last);
        to.care_site_id.append_option(site);
        to.visit_source_value.append_value(source);
        to.preceding_visit_occurrence_id.append_option(before);
        Visit { id, day, inpatient: concept == INPATIENT }
    }

    fn diagnose(&mut self, person: &Person, coded: Coded, visit: Visit, ends: Option<i32>) {
        let (row, link) = (self.row(), self.link(visit));
        let to = &mut self.sheets.condition;
        to.condition_occurrence_id.append_value(row);
        to.person_id.append_value(person.id);
        to.condition_concept_id.append_value(coded.concept);
        to.condition_start_date.append_value(visit.day);
        to.condition_end_date.append_option(ends);
        to.visit_occurrence_id.append_option(link);
        to.condition_source_value.append_value(coded.source);
        to.condition_source_concept_id.append_value(coded.source_concept);
    }

    fn prescribe(&mut self, person: &Person, medicine: &Medicine, visit: Visit, days: i64) {
        let (row, link) = (self.row(), self.link(visit));
        let days = if medicine.injected { 1 } else { days };
        let known = !self.chance.chance(0.03);
        let to = &mut self.sheets.drug;
        to.drug_exposure_id.append_value(row);
        to.person_id.append_value(person.id);
        to.drug_concept_id.append_value(medicine.coded.concept);
        to.drug_exposure_start_date.append_value(visit.day);
        let ends = visit.day.saturating_add(i32::try_from(days).unwrap_or(1).saturating_sub(1));
        to.drug_exposure_end_date.append_value(ends.min(person.last));
        to.drug_type_concept_id.append_value(if visit.inpatient { ADMINISTRATION } else { PRESCRIPTION });
        #[expect(clippy::cast_precision_loss, reason = "days of supply are few")]
        to.quantity.append_option(known.then_some((medicine.units_a_day * days as f64).ceil()));
        to.days_supply.append_option(known.then_some(days));
        to.route_concept_id.append_value(medicine.route);
        to.visit_occurrence_id.append_option(link);
        to.drug_source_value.append_value(medicine.coded.source);
        to.drug_source_concept_id.append_value(medicine.coded.source_concept);
    }

    fn treat(&mut self, person: &Person, procedure: Coded, visit: Visit) {
        let (row, link) = (self.row(), self.link(visit));
        let to = &mut self.sheets.procedure;
        to.procedure_occurrence_id.append_value(row);
        to.person_id.append_value(person.id);
        to.procedure_concept_id.append_value(procedure.concept);
        to.procedure_date.append_value(visit.day);
        to.visit_occurrence_id.append_option(link);
        to.procedure_source_value.append_value(procedure.source);
    }

    fn test(&mut self, person: &Person, body: &Body, tests: u64, visit: Visit, day: i32, acute: bool) {
        let model = self.model;
        let mut left = tests;
        while left != 0 {
            let place = usize::try_from(left.trailing_zeros()).unwrap_or(0);
            left &= left.wrapping_sub(1);
            let Some(assay) = model.assays.get(place) else { continue };
            let measurement = assay.measurement;
            let value = body.measure(measurement, day, acute, &mut self.chance);
            let value = (!self.chance.chance(LOST_VALUE)).then_some(value);
            let (row, link) = (self.row(), self.link(visit));
            let range = (measurement.range.1 > 0.0).then_some(measurement.range);
            let to = &mut self.sheets.measurement;
            to.measurement_id.append_value(row);
            to.person_id.append_value(person.id);
            to.measurement_concept_id.append_value(measurement.id);
            to.measurement_date.append_value(day);
            to.measurement_type_concept_id.append_value(assay.type_concept);
            to.operator_concept_id.append_option(value.map(|_| EQUALS));
            to.value_as_number.append_option(value);
            to.unit_concept_id.append_value(measurement.unit.id);
            to.range_low.append_option(range.map(|r| r.0));
            to.range_high.append_option(range.map(|r| r.1));
            to.visit_occurrence_id.append_option(link);
            to.measurement_source_value.append_value(measurement.jlac10);
            to.measurement_source_concept_id.append_value(assay.source_concept);
            to.unit_source_value.append_value(measurement.unit.ucum);
        }
    }

    fn observe(
        &mut self,
        person: &Person,
        concept: i64,
        value: Option<i64>,
        source: &str,
        day: i32,
        visit: Option<Visit>,
    ) {
        let row = self.row();
        let to = &mut self.sheets.observation;
        to.observation_id.append_value(row);
        to.person_id.append_value(person.id);
        to.observation_concept_id.append_value(concept);
        to.observation_date.append_value(day);
        to.value_as_concept_id.append_option(value);
        to.visit_occurrence_id.append_option(visit.map(|v| v.id));
        to.observation_source_value.append_value(source);
    }

    fn die(&mut self, person: &Person) {
        let cancer = self.active.iter().map(|a| a.condition.coded).find(|c| c.source.starts_with('C'));
        let other = self.chance.weighted(&[5, 4, 3, 2, 6]);
        let other = self.model.death_causes.get(other).copied();
        let cause = if self.chance.chance(0.7) { cancer.or(other) } else { other };
        let to = &mut self.sheets.death;
        to.person_id.append_value(person.id);
        to.death_date.append_value(person.last);
        to.cause_concept_id.append_option(cause.map(|c| c.concept));
        to.cause_source_value.append_option(cause.map(|c| c.source));
        to.cause_source_concept_id.append_option(cause.map(|c| c.source_concept));
    }
}

fn smoking(person: &Person, chance: &mut Chance) -> i64 {
    let weights = if person.woman { [82, 11, 7] } else { [38, 36, 26] };
    [NEVER_SMOKED, EX_SMOKER, SMOKER].get(chance.weighted(&weights)).copied().unwrap_or(0)
}

/// Tests of a ward round.
const ROUND: &[(Test, f64)] = &[
    (Test::Temperature, 0.8),
    (Test::Saturation, 0.4),
    (Test::Systolic, 0.6),
    (Test::Diastolic, 0.6),
    (Test::Leukocytes, 0.6),
    (Test::Hemoglobin, 0.6),
    (Test::Platelets, 0.5),
    (Test::Crp, 0.7),
    (Test::Creatinine, 0.5),
    (Test::Egfr, 0.4),
    (Test::Sodium, 0.4),
    (Test::Potassium, 0.4),
    (Test::Chloride, 0.3),
];

/// Tests of a health check.
const CHECK: &[(Test, f64)] = &[
    (Test::Height, 0.98),
    (Test::Weight, 0.98),
    (Test::Bmi, 0.98),
    (Test::Systolic, 0.98),
    (Test::Diastolic, 0.98),
    (Test::HbA1c, 0.85),
    (Test::Glucose, 0.6),
    (Test::Ldl, 0.95),
    (Test::Hdl, 0.95),
    (Test::Triglyceride, 0.95),
    (Test::Cholesterol, 0.2),
    (Test::Ast, 0.95),
    (Test::Alt, 0.95),
    (Test::Ggt, 0.95),
    (Test::Creatinine, 0.75),
    (Test::Egfr, 0.75),
    (Test::UricAcid, 0.5),
    (Test::Hemoglobin, 0.5),
    (Test::Hematocrit, 0.4),
    (Test::Erythrocytes, 0.4),
    (Test::Protein, 0.1),
];
