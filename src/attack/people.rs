//! Who is in the data that is attacked?
//!
//! Nobody real. Everything about everybody is known to the attacker, except one bit of each *target*: whether the person
//! is in the data at all. Each target stands in a cell of their own (a year and a month of birth), beside the same few
//! known people in every cell, so that one question with a public key plays a game for every cell at once, at the loss of
//! one question: no person is in two cells.

use std::{fmt::Write as _, fs, path::Path};

use crate::cli::Stop;

/// Cells: every month of every year of birth that the catalogue knows.
pub const CELLS: usize = 131 * 12;
/// People whose whole column is to be reconstructed.
pub const COLUMN: usize = 240;
/// Rows of the giant before ingest cuts them to what the catalogue allows.
const GIANT_ROWS: usize = 20_000;
/// A number that only the giant has.
pub const GIANTS_NUMBER: i64 = 123_457;
/// A condition that only the target of a cell has: this plus the cell's number.
pub const OWN_CONDITION: i64 = 90_000_000;
/// A measurement that only the giant has: this plus the number of the row.
pub const GIANTS_KEY: i64 = 50_000_000;
/// The measurement of everybody else.
pub const MEASUREMENT: i64 = 3_004_410;
/// The condition of the known people, and in the reconstruction the secret.
pub const CONDITION: i64 = 201_826;
/// A place where only the giant lives.
pub const GIANTS_STATE: &str = "ZZ";

/// Attributes that a question can tell apart: sex, race, ethnicity.
pub type Looks = [i64; 3];
/// The two known people and the target of a cell.
pub const LOOKS: [Looks; 3] = [[8507, 8527, 38_003_564], [8532, 8515, 38_003_564], [8507, 8515, 38_003_563]];
/// Where the target stands in [`LOOKS`].
pub const TARGET: usize = 2;

/// The secrets that the attacker is after.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// For each cell, whether its target is in the data.
    pub targets: Vec<bool>,
    /// For each cell, whether its household of two is, on the second of the month.
    pub households: Vec<bool>,
}

/// Year and month of a cell.
#[must_use]
pub fn birth_of(cell: usize) -> (usize, usize) {
    (1900 + cell / 12, 1 + cell % 12)
}

/// The cell of a year and a month.
#[must_use]
pub fn cell_of(year: i64, month: i64) -> Option<usize> {
    let cell = usize::try_from((year - 1900) * 12 + month - 1).ok()?;
    ((1..=12).contains(&month) && cell < CELLS).then_some(cell)
}

#[derive(Default)]
struct Delivery {
    person: String,
    measurement: String,
    condition: String,
    visit: String,
    death: String,
    number: u64,
}

impl Delivery {
    fn person(&mut self, id: u64, (year, month): (usize, usize), day: u32, looks: Looks, location: u32) {
        let [sex, race, ethnicity] = looks;
        let _ = writeln!(self.person, "{id},{sex},{year},{month},{day},{race},{ethnicity},{location}");
    }

    fn measured(&mut self, id: u64, concept: i64, value: &str, visit: &str) {
        self.number += 1;
        let _ =
            writeln!(self.measurement, "{},{id},{concept},2020-03-0{},32817,{value},{visit}", self.number, 1 + id % 9);
    }

    fn diagnosed(&mut self, id: u64, concept: i64) {
        self.number += 1;
        let _ = writeln!(self.condition, "{},{id},{concept},2020-02-01,32817", self.number);
    }

    fn visited(&mut self, id: u64, visit: u64) {
        let _ = writeln!(self.visit, "{visit},{id},9202,2020-03-01,2020-03-01,32817");
    }

    fn died(&mut self, id: u64) {
        let _ = writeln!(self.death, "{id},2021-01-01");
    }

    fn write(&self, folder: &Path, giant: bool) -> Result<(), Stop> {
        let save = |name: &str, header: &str, rows: &str| {
            let path = folder.join(name);
            fs::write(&path, format!("{header}\n{rows}"))
                .map_err(|fault| Stop::Fault(format!("{}: {fault}", path.display())))
        };
        fs::create_dir_all(folder).map_err(|fault| Stop::Fault(format!("{}: {fault}", folder.display())))?;
        save(
            "person.csv",
            "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,\
             ethnicity_concept_id,location_id",
            &self.person,
        )?;
        save(
            "measurement.csv",
            "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_type_concept_id,\
             value_as_number,visit_occurrence_id",
            &self.measurement,
        )?;
        save(
            "condition_occurrence.csv",
            "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_type_concept_id",
            &self.condition,
        )?;
        save(
            "visit_occurrence.csv",
            "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id",
            &self.visit,
        )?;
        save("death.csv", "person_id,death_date", &self.death)?;
        let own = if giant { format!("77,Giantville,{GIANTS_STATE}\n") } else { String::new() };
        save("location.csv", "location_id,city,state", &format!("1,Sapporo,01\n{own}"))?;
        // A holder's own subset of a vocabulary, delivered with the records: it says which codes occur.
        let own = if giant { format!("{GIANTS_KEY},only here,Measurement,LOINC,Lab,S,x\n") } else { String::new() };
        save(
            "concept.csv",
            "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code",
            &format!("{MEASUREMENT},HbA1c,Measurement,LOINC,Lab,S,y\n{own}"),
        )
    }
}

/// Cells with targets; and, where `giant` says so, one person more with everything in extremes.
///
/// # Errors
/// [`Stop::Fault`] where a file cannot be written.
pub fn cells(folder: &Path, secrets: &Secrets, giant: bool) -> Result<(), Stop> {
    let mut all = Delivery::default();
    for (cell, (target, household)) in secrets.targets.iter().zip(&secrets.households).enumerate() {
        let (born, first) = (birth_of(cell), cell as u64 * 10);
        for (place, looks) in LOOKS.into_iter().enumerate().filter(|(place, _)| *place != TARGET || *target) {
            let id = first + place as u64;
            all.person(id, born, 1, looks, 1);
            match place {
                // A link that lies: the visit is the giant's, if anybody's.
                0 => {
                    all.measured(id, MEASUREMENT, "40", &GIANTS_VISIT.to_string());
                    all.diagnosed(id, CONDITION);
                    all.visited(id, 1_000 + first);
                }
                // Rows made to cancel or swallow others in a sum of doubles.
                TARGET => {
                    for row in 0..30 {
                        all.measured(id, MEASUREMENT, TARGETS_VALUES.get(row % 5).copied().unwrap_or("1"), "");
                    }
                    all.diagnosed(id, OWN_CONDITION + cell as i64);
                }
                _ => {
                    HOSTILE.iter().for_each(|value| all.measured(id, MEASUREMENT, value, ""));
                    all.died(id);
                }
            }
        }
        if *household {
            for member in 5..7 {
                all.person(first + member, born, 2, [8521, 0, 0], 1);
            }
        }
    }
    if giant {
        make_giant(&mut all);
    }
    all.write(folder, giant)
}

fn make_giant(all: &mut Delivery) {
    let _ = writeln!(all.person, "{GIANT},8507,2030,,,8522,0,77");
    for row in 0..GIANT_ROWS {
        let own = GIANTS_NUMBER.to_string();
        let value = [own.as_str(), "1e308", "-1e308", "5e-324", "9223372036854775807", "NaN", "0.1", ""];
        let visit = if row % 3 == 0 { GIANTS_VISIT.to_string() } else { String::new() };
        all.measured(GIANT, GIANTS_KEY + row as i64, value.get(row % 8).copied().unwrap_or(""), &visit);
    }
    all.died(GIANT);
    for row in 0..3_000 {
        all.diagnosed(GIANT, OWN_CONDITION + CELLS as i64 + row);
    }
    for visit in 0..600 {
        all.visited(GIANT, GIANTS_VISIT + visit);
    }
}

/// People with one secret each: whether they have [`CONDITION`].
///
/// # Errors
/// [`Stop::Fault`] where a file cannot be written.
pub fn column(folder: &Path, secrets: &[bool]) -> Result<(), Stop> {
    let mut all = Delivery::default();
    for (cell, secret) in secrets.iter().enumerate() {
        all.person(cell as u64, birth_of(cell), 1, LOOKS.first().copied().unwrap_or_default(), 1);
        all.diagnosed(cell as u64, if *secret { CONDITION } else { CONDITION + 1 });
    }
    all.visited(0, 1);
    all.died(0);
    all.measured(0, MEASUREMENT, "1", "");
    all.write(folder, false)
}

/// One person in each of many groups.
///
/// # Errors
/// [`Stop::Fault`] where a file cannot be written.
pub fn singles(folder: &Path) -> Result<(), Stop> {
    let mut all = Delivery::default();
    for cell in 0..CELLS {
        all.person(cell as u64, birth_of(cell), 1, LOOKS.first().copied().unwrap_or_default(), 1);
        all.diagnosed(cell as u64, OWN_CONDITION + cell as i64);
    }
    all.visited(0, 1);
    all.died(0);
    all.measured(0, MEASUREMENT, "1", "");
    all.write(folder, false)
}

const GIANT: u64 = 999_999_999;
const GIANTS_VISIT: u64 = 900_000_000;
const HOSTILE: [&str; 6] = ["1e308", "-1e308", "1e16", "-1e16", "5e-324", "0.1"];
const TARGETS_VALUES: [&str; 5] = ["9223372036854775807", "1e308", "0.1", "100", "-9223372036854775808"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_month_of_a_year_and_back() {
        for cell in [0, 11, 12, CELLS - 1] {
            let (year, month) = birth_of(cell);
            assert_eq!(cell_of(year as i64, month as i64), Some(cell));
        }
        assert_eq!(cell_of(1899, 12), None);
        assert_eq!(cell_of(1950, 13), None);
        assert_eq!(cell_of(2031, 1), None);
    }
}
