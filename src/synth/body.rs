//! What does a test measure in this person on this day?
//!
//! Each person has levels of their own (set by age, sex and illness); each measurement adds the noise of a day.

use super::{
    chance::Chance,
    codes::measurements::{Measurement, Test},
    person::Person,
};

/// What of a person's illnesses moves the measurements.
#[derive(Debug, Clone, Copy, Default)]
pub struct Illness {
    pub diabetes: bool,
    pub insulin_dependent: bool,
    pub hypertension: bool,
    pub hyperlipidemia: bool,
    pub statin: bool,
    pub obesity: bool,
    pub kidney: bool,
    pub dialysis: bool,
    pub liver: bool,
    pub gout: bool,
    pub heart_failure: bool,
    pub anemia: bool,
    pub hypothyroid: bool,
    pub warfarin: bool,
    pub prostate_cancer: bool,
}

/// A person's own levels.
#[derive(Debug, Clone)]
pub struct Body {
    woman: bool,
    illness: Illness,
    born_day: i32,
    hba1c: f64,
    egfr_at_birth: f64,
    systolic: f64,
    ldl: f64,
    hdl: f64,
    triglyceride: f64,
    height: f64,
    bmi: f64,
    transaminase: f64,
    hemoglobin: f64,
}

impl Body {
    /// Draw the levels of a person with these illnesses.
    #[must_use]
    pub fn draw(person: &Person, illness: Illness, chance: &mut Chance) -> Self {
        let age = f64::from(person.age(person.first));
        let woman = person.woman;
        let adult = if woman { 159.0 - (age - 30.0).max(0.0) * 0.12 } else { 172.0 - (age - 30.0).max(0.0) * 0.12 };
        let height = if age < 18.0 { (52.0 + age * 6.8).min(adult) } else { adult } + chance.bell() * 5.6;
        let bmi = if age < 15.0 {
            15.5 + age * 0.3
        } else if woman {
            21.8
        } else {
            23.6
        } + chance.bell() * 2.6
            + up(illness.obesity, 7.5)
            + up(illness.diabetes, 1.5);
        let ill_sugar = if illness.insulin_dependent { 7.8 } else { 7.1 };
        let hba1c =
            if illness.diabetes { ill_sugar + chance.bell() * 0.85 } else { 5.25 + age * 0.006 + chance.bell() * 0.24 };
        let systolic = 104.0
            + age * 0.32
            + (bmi - 22.0) * 0.9
            + if woman { -4.0 } else { 2.0 }
            + up(illness.hypertension, 11.0)
            + chance.bell() * 8.5;
        let ldl = 95.0 + age.min(65.0) * 0.4 + up(illness.hyperlipidemia, 48.0) + chance.bell() * 22.0;
        Self {
            woman,
            illness,
            born_day: person.born_day,
            hba1c,
            egfr_at_birth: 121.0 + chance.bell() * 11.0 - up(illness.kidney, 27.0) - up(illness.diabetes, 4.0),
            systolic,
            ldl: if illness.statin { ldl * 0.66 } else { ldl },
            hdl: if woman { 68.0 } else { 57.0 } - (bmi - 22.0) * 1.1 + chance.bell() * 12.0,
            triglyceride: 92.0 + (bmi - 22.0) * 5.0 + up(illness.hyperlipidemia, 50.0) + chance.bell() * 35.0,
            height,
            bmi,
            transaminase: 21.0 + (bmi - 22.0).max(0.0) * 0.9 + up(illness.liver, 24.0) + chance.bell() * 5.0,
            hemoglobin: if woman { 13.1 } else { 14.9 }
                - (age - 60.0).max(0.0) * 0.03
                - up(illness.anemia, 3.0)
                - up(illness.dialysis, 3.2)
                + chance.bell() * 0.9,
        }
    }

    /// The value of a test, on the grid of the test and inside what it can show.
    #[must_use]
    pub fn measure(&self, measurement: &Measurement, day: i32, acute: bool, chance: &mut Chance) -> f64 {
        let raw = self.level(measurement.test, day, acute, chance);
        let steps = match measurement.digits {
            0 => 1.0,
            1 => 10.0,
            _ => 100.0,
        };
        let (lowest, highest) = measurement.possible;
        (raw.clamp(lowest, highest) * steps).round() / steps
    }

    fn level(&self, test: Test, day: i32, acute: bool, chance: &mut Chance) -> f64 {
        let age = f64::from(day.saturating_sub(self.born_day)) / 365.25;
        let noise = chance.bell();
        // A long right tail without a logarithm: the square of a bell.
        let tail = noise * noise;
        let ill = self.illness;
        match test {
            Test::HbA1c => self.hba1c + noise * if ill.diabetes { 0.35 } else { 0.1 },
            Test::Glucose => (self.hba1c * 28.7 - 46.7) * 0.93 + noise.abs() * 16.0 + up(acute, 12.0),
            Test::Egfr => self.egfr(age) + noise * 4.0,
            Test::Creatinine => creatinine(self.egfr(age) + noise * 4.0, age, self.woman),
            Test::UreaNitrogen => 9.0 + (105.0 - self.egfr(age)).max(0.0) * 0.14 + tail * 1.2 + up(ill.dialysis, 32.0),
            Test::Ldl => self.ldl + noise * 9.0,
            Test::Hdl => self.hdl + noise * 4.0,
            Test::Triglyceride => self.triglyceride.max(35.0) * (0.8 + 0.25 * tail),
            Test::Cholesterol => self.ldl + self.hdl + 24.0 + noise * 10.0,
            Test::Systolic => self.systolic + noise * 9.0,
            Test::Diastolic => self.systolic * 0.56 + 6.0 - (age - 65.0).max(0.0) * 0.3 + noise * 6.0,
            Test::Height => self.height + noise * 0.3,
            Test::Weight => self.bmi * self.height * self.height / 10_000.0 + noise * 0.8,
            Test::Bmi => self.bmi + noise * 0.3,
            Test::HeartRate => 70.0 + (14.0 - age).max(0.0) * 2.5 + noise * 9.0 + up(acute, 12.0),
            Test::Temperature => 36.4 + noise * 0.25 + up(acute, 1.2),
            Test::Saturation => 98.4 - tail * 0.4 - up(acute, 2.0),
            Test::Ast => self.transaminase + tail * 4.0,
            Test::Alt => self.transaminase * if self.woman { 0.85 } else { 1.1 } + tail * 6.0,
            Test::Ggt => self.transaminase * if self.woman { 0.9 } else { 1.7 } + tail * 12.0,
            Test::UricAcid => up(!self.woman, 1.3) + 4.5 + up(ill.gout, 1.1) + noise * 0.9,
            Test::Sodium => 141.0 + noise * 2.0,
            Test::Potassium => 4.2 + noise * 0.3 + up(ill.dialysis, 0.7),
            Test::Chloride => 104.5 + noise * 2.0,
            Test::Crp => 0.03 + tail * 0.12 + if acute { tail * 3.5 + 1.0 } else { 0.0 },
            Test::Albumin => 4.5 - (age - 60.0).max(0.0) * 0.012 + noise * 0.25 - up(acute, 0.4),
            Test::Bilirubin => 0.55 + tail * 0.15 + up(ill.liver, 0.2),
            Test::Protein => 7.2 + noise * 0.4,
            Test::Leukocytes => 5.9 + noise * 1.4 + up(acute, 3.0),
            Test::Hemoglobin => self.hemoglobin + noise * 0.4,
            Test::Hematocrit => self.hemoglobin * 3.0 + noise * 1.0,
            Test::Erythrocytes => self.hemoglobin * 0.325 + noise * 0.12,
            Test::Platelets => 240.0 + noise * 50.0 - up(ill.liver, 25.0),
            Test::Thyrotropin => 0.7 + tail * 1.1 + up(ill.hypothyroid, 2.5),
            Test::NtProBnp => {
                25.0 + (age - 40.0).max(0.0) * 2.5 + if ill.heart_failure { 450.0 + tail * 900.0 } else { tail * 30.0 }
            }
            Test::Inr => 1.02 + noise.abs() * 0.06 + up(ill.warfarin, 0.95),
            Test::Psa => {
                0.5 + (age - 40.0).max(0.0) * 0.02
                    + tail * 0.5
                    + if ill.prostate_cancer { 6.0 + tail * 8.0 } else { 0.0 }
            }
        }
    }

    fn egfr(&self, age: f64) -> f64 {
        if self.illness.dialysis {
            return 6.5;
        }
        (self.egfr_at_birth - age * 0.72).clamp(12.0, 150.0)
    }
}

/// Serum creatinine at a filtration rate: the Japanese equation eGFR = 194 · Cr^-1.094 · age^-0.287 (· 0.739 in women).
fn creatinine(egfr: f64, age: f64, woman: bool) -> f64 {
    let sex = if woman { 0.739 } else { 1.0 };
    (194.0 * sex * age.max(18.0).powf(-0.287) / egfr.max(3.0)).powf(1.0 / 1.094)
}

fn up(applies: bool, by: f64) -> f64 {
    if applies { by } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{codes::measurements::MEASUREMENTS, person::FIRST_DAY};

    fn mean(test: Test, illness: Illness, years: i32) -> f64 {
        let mut chance = Chance::of_block(9, 1);
        let measurement = MEASUREMENTS.iter().find(|m| m.test == test).unwrap();
        let mut person = Person::draw(1, &mut chance);
        (person.first, person.born_day) = (FIRST_DAY, FIRST_DAY - years * 365);
        let values = (0..4_000).map(|_| {
            let body = Body::draw(&person, illness, &mut chance);
            body.measure(measurement, FIRST_DAY, false, &mut chance)
        });
        values.sum::<f64>() / 4_000.0
    }

    #[test]
    fn diabetes_raises_hba1c_and_years_lower_egfr() {
        let well = mean(Test::HbA1c, Illness::default(), 60);
        let ill = mean(Test::HbA1c, Illness { diabetes: true, ..Illness::default() }, 60);
        assert!((5.3..6.0).contains(&well) && (6.6..7.6).contains(&ill), "{well} {ill}");
        let (young, old) = (mean(Test::Egfr, Illness::default(), 25), mean(Test::Egfr, Illness::default(), 80));
        assert!(young > old + 25.0 && (50.0..80.0).contains(&old), "{young} {old}");
    }

    #[test]
    fn creatinine_answers_to_the_filtration_rate() {
        let well = mean(Test::Creatinine, Illness::default(), 60);
        let dialysis = mean(Test::Creatinine, Illness { dialysis: true, ..Illness::default() }, 60);
        assert!((0.5..1.1).contains(&well) && dialysis > 5.0, "{well} {dialysis}");
    }
}
