//! Which measurements can a synthetic person have, and what are they called?
//!
//! Standard LOINC concepts with the JLAC10 code of a Japanese laboratory and a UCUM unit. Order matters: it is the
//! order of [`Test`], and the position gives a JLAC10 code its local concept id, so append only.

/// A test that the courses of disease ask for, in the order of [`MEASUREMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Test {
    HbA1c,
    Glucose,
    Creatinine,
    Egfr,
    Ldl,
    Hdl,
    Triglyceride,
    Cholesterol,
    Systolic,
    Diastolic,
    Height,
    Weight,
    Bmi,
    HeartRate,
    Temperature,
    Saturation,
    Ast,
    Alt,
    Ggt,
    UreaNitrogen,
    UricAcid,
    Sodium,
    Potassium,
    Chloride,
    Crp,
    Albumin,
    Bilirubin,
    Protein,
    Leukocytes,
    Erythrocytes,
    Hemoglobin,
    Hematocrit,
    Platelets,
    Thyrotropin,
    NtProBnp,
    Inr,
    Psa,
}

/// A unit of measurement.
pub struct Unit {
    pub id: i64,
    pub ucum: &'static str,
    pub en: &'static str,
    pub ja: &'static str,
}

/// A measurement: the standard concept, its local code, its unit and the range printed beside a result.
pub struct Measurement {
    pub test: Test,
    pub id: i64,
    pub loinc: &'static str,
    pub jlac10: &'static str,
    pub en: &'static str,
    pub ja: &'static str,
    pub unit: &'static Unit,
    pub range: (f64, f64),
    /// Digits after the point.
    pub digits: u8,
    /// No stored value lies outside.
    pub possible: (f64, f64),
}

const fn unit(id: i64, ucum: &'static str, en: &'static str, ja: &'static str) -> Unit {
    Unit { id, ucum, en, ja }
}

static PERCENT: Unit = unit(8_554, "%", "percent", "パーセント");
static MG_DL: Unit = unit(8_840, "mg/dL", "milligram per deciliter", "ミリグラム毎デシリットル");
static EGFR_UNIT: Unit = unit(
    720_870,
    "mL/min/(173.10*-2.m2)",
    "milliliter per minute per 1.73 square meter",
    "ミリリットル毎分毎1.73平方メートル",
);
static MM_HG: Unit = unit(8_876, "mm[Hg]", "millimeter mercury column", "水銀柱ミリメートル");
static CM: Unit = unit(8_582, "cm", "centimeter", "センチメートル");
static KG: Unit = unit(9_529, "kg", "kilogram", "キログラム");
static KG_M2: Unit = unit(9_531, "kg/m2", "kilogram per square meter", "キログラム毎平方メートル");
static PER_MINUTE: Unit = unit(8_541, "/min", "per minute", "毎分");
static CELSIUS: Unit = unit(586_323, "Cel", "degree Celsius", "摂氏度");
static U_L: Unit = unit(8_645, "[U]/L", "unit per liter", "単位毎リットル");
static MMOL_L: Unit = unit(8_753, "mmol/L", "millimole per liter", "ミリモル毎リットル");
static G_DL: Unit = unit(8_713, "g/dL", "gram per deciliter", "グラム毎デシリットル");
static THOUSAND_UL: Unit = unit(8_848, "10*3/uL", "thousand per microliter", "千毎マイクロリットル");
static MILLION_UL: Unit = unit(8_815, "10*6/uL", "million per microliter", "百万毎マイクロリットル");
static MILLI_IU_L: Unit = unit(9_040, "10*-3.[iU]/L", "milli-international unit per liter", "ミリ国際単位毎リットル");
static PG_ML: Unit = unit(8_845, "pg/mL", "picogram per milliliter", "ピコグラム毎ミリリットル");
static NG_ML: Unit = unit(8_842, "ng/mL", "nanogram per milliliter", "ナノグラム毎ミリリットル");
static RATIO: Unit = unit(8_523, "{ratio}", "ratio", "比");

/// Every unit that a measurement uses.
pub static UNITS: &[&Unit] = &[
    &PERCENT,
    &MG_DL,
    &EGFR_UNIT,
    &MM_HG,
    &CM,
    &KG,
    &KG_M2,
    &PER_MINUTE,
    &CELSIUS,
    &U_L,
    &MMOL_L,
    &G_DL,
    &THOUSAND_UL,
    &MILLION_UL,
    &MILLI_IU_L,
    &PG_ML,
    &NG_ML,
    &RATIO,
];

#[expect(clippy::too_many_arguments, reason = "a row of the table below")]
const fn of(
    test: Test,
    id: i64,
    loinc: &'static str,
    jlac10: &'static str,
    en: &'static str,
    ja: &'static str,
    unit: &'static Unit,
    range: (f64, f64),
    digits: u8,
    possible: (f64, f64),
) -> Measurement {
    Measurement { test, id, loinc, jlac10, en, ja, unit, range, digits, possible }
}

/// Every measurement, in the order of [`Test`].
#[rustfmt::skip]
pub static MEASUREMENTS: &[Measurement] = &[
    of(Test::HbA1c, 3_004_410, "4548-4", "3D046000001906202", "Hemoglobin A1c/Hemoglobin.total in Blood", "HbA1c(NGSP)", &PERCENT, (4.6, 6.2), 1, (3.0, 20.0)),
    of(Test::Glucose, 3_004_501, "2345-7", "3D010129901926101", "Glucose [Mass/volume] in Serum or Plasma", "血糖", &MG_DL, (73.0, 109.0), 0, (30.0, 800.0)),
    of(Test::Creatinine, 3_016_723, "2160-0", "3C015000002327101", "Creatinine [Mass/volume] in Serum or Plasma", "クレアチニン", &MG_DL, (0.46, 1.07), 2, (0.1, 20.0)),
    of(Test::Egfr, 46_236_952, "77147-7", "8A065000002391901", "Glomerular filtration rate [Volume Rate/Area] in Serum, Plasma or Blood by Creatinine-based formula (MDRD)/1.73 sq M", "推算糸球体濾過量(eGFR)", &EGFR_UNIT, (60.0, 200.0), 1, (1.0, 200.0)),
    of(Test::Ldl, 3_028_437, "2089-1", "3F077000002327101", "Cholesterol in LDL [Mass/volume] in Serum or Plasma", "LDLコレステロール", &MG_DL, (65.0, 139.0), 0, (10.0, 500.0)),
    of(Test::Hdl, 3_007_070, "2085-9", "3F070000002327101", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "HDLコレステロール", &MG_DL, (40.0, 103.0), 0, (10.0, 200.0)),
    of(Test::Triglyceride, 3_022_192, "2571-8", "3F015000002327101", "Triglyceride [Mass/volume] in Serum or Plasma", "中性脂肪", &MG_DL, (30.0, 149.0), 0, (15.0, 2000.0)),
    of(Test::Cholesterol, 3_027_114, "2093-3", "3F050000002327101", "Cholesterol [Mass/volume] in Serum or Plasma", "総コレステロール", &MG_DL, (142.0, 219.0), 0, (50.0, 600.0)),
    of(Test::Systolic, 3_004_249, "8480-6", "9A751000000000001", "Systolic blood pressure", "収縮期血圧", &MM_HG, (90.0, 139.0), 0, (50.0, 260.0)),
    of(Test::Diastolic, 3_012_888, "8462-4", "9A761000000000001", "Diastolic blood pressure", "拡張期血圧", &MM_HG, (50.0, 89.0), 0, (30.0, 160.0)),
    of(Test::Height, 3_036_277, "8302-2", "9N001000000000001", "Body height", "身長", &CM, (0.0, 0.0), 1, (40.0, 210.0)),
    of(Test::Weight, 3_025_315, "29463-7", "9N006000000000001", "Body weight", "体重", &KG, (0.0, 0.0), 1, (2.0, 200.0)),
    of(Test::Bmi, 3_038_553, "39156-5", "9N011000000000001", "Body mass index (BMI) [Ratio]", "BMI", &KG_M2, (18.5, 24.9), 1, (10.0, 60.0)),
    of(Test::HeartRate, 3_027_018, "8867-4", "9N121000000000001", "Heart rate", "心拍数", &PER_MINUTE, (50.0, 100.0), 0, (30.0, 200.0)),
    of(Test::Temperature, 3_020_891, "8310-5", "9A110000000000001", "Body temperature", "体温", &CELSIUS, (35.5, 37.4), 1, (33.0, 42.0)),
    of(Test::Saturation, 40_762_499, "59408-5", "9A120000000000001", "Oxygen saturation in Arterial blood by Pulse oximetry", "経皮的動脈血酸素飽和度", &PERCENT, (96.0, 100.0), 0, (60.0, 100.0)),
    of(Test::Ast, 3_013_721, "1920-8", "3B035000002327201", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "AST(GOT)", &U_L, (13.0, 30.0), 0, (5.0, 2000.0)),
    of(Test::Alt, 3_006_923, "1742-6", "3B045000002327201", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "ALT(GPT)", &U_L, (7.0, 42.0), 0, (3.0, 2000.0)),
    of(Test::Ggt, 3_026_910, "2324-2", "3B090000002327101", "Gamma glutamyl transferase [Enzymatic activity/volume] in Serum or Plasma", "γ-GT", &U_L, (9.0, 64.0), 0, (5.0, 2000.0)),
    of(Test::UreaNitrogen, 3_013_682, "3094-0", "3C025000002327201", "Urea nitrogen [Mass/volume] in Serum or Plasma", "尿素窒素", &MG_DL, (8.0, 20.0), 1, (2.0, 200.0)),
    of(Test::UricAcid, 3_037_556, "3084-1", "3C020000002327101", "Urate [Mass/volume] in Serum or Plasma", "尿酸", &MG_DL, (2.6, 7.0), 1, (0.5, 20.0)),
    of(Test::Sodium, 3_019_550, "2951-2", "3H010000002326101", "Sodium [Moles/volume] in Serum or Plasma", "ナトリウム", &MMOL_L, (138.0, 145.0), 0, (100.0, 180.0)),
    of(Test::Potassium, 3_023_103, "2823-3", "3H015000002326101", "Potassium [Moles/volume] in Serum or Plasma", "カリウム", &MMOL_L, (3.6, 4.8), 1, (1.5, 9.0)),
    of(Test::Chloride, 3_014_576, "2075-0", "3H020000002326101", "Chloride [Moles/volume] in Serum or Plasma", "クロール", &MMOL_L, (101.0, 108.0), 0, (70.0, 140.0)),
    of(Test::Crp, 3_020_460, "1988-5", "5C070000002306201", "C reactive protein [Mass/volume] in Serum or Plasma", "CRP", &MG_DL, (0.0, 0.14), 2, (0.0, 50.0)),
    of(Test::Albumin, 3_024_561, "1751-7", "3A015000002327101", "Albumin [Mass/volume] in Serum or Plasma", "アルブミン", &G_DL, (4.1, 5.1), 1, (1.0, 6.0)),
    of(Test::Bilirubin, 3_024_128, "1975-2", "3J010000002327101", "Bilirubin.total [Mass/volume] in Serum or Plasma", "総ビリルビン", &MG_DL, (0.4, 1.5), 1, (0.1, 40.0)),
    of(Test::Protein, 3_020_630, "2885-2", "3A010000002327101", "Protein [Mass/volume] in Serum or Plasma", "総蛋白", &G_DL, (6.6, 8.1), 1, (2.0, 12.0)),
    of(Test::Leukocytes, 3_000_905, "6690-2", "2A010000001930101", "Leukocytes [#/volume] in Blood by Automated count", "白血球数", &THOUSAND_UL, (3.3, 8.6), 1, (0.1, 200.0)),
    of(Test::Erythrocytes, 3_020_416, "789-8", "2A020000001930101", "Erythrocytes [#/volume] in Blood by Automated count", "赤血球数", &MILLION_UL, (3.86, 5.55), 2, (1.0, 9.0)),
    of(Test::Hemoglobin, 3_000_963, "718-7", "2A030000001930101", "Hemoglobin [Mass/volume] in Blood", "ヘモグロビン", &G_DL, (11.6, 16.8), 1, (3.0, 22.0)),
    of(Test::Hematocrit, 3_023_314, "4544-3", "2A040000001930102", "Hematocrit [Volume Fraction] of Blood by Automated count", "ヘマトクリット", &PERCENT, (35.1, 50.1), 1, (10.0, 65.0)),
    of(Test::Platelets, 3_024_929, "777-3", "2A050000001930101", "Platelets [#/volume] in Blood by Automated count", "血小板数", &THOUSAND_UL, (158.0, 348.0), 0, (5.0, 1500.0)),
    of(Test::Thyrotropin, 3_009_201, "3016-3", "4A055000002302301", "Thyrotropin [Units/volume] in Serum or Plasma", "TSH", &MILLI_IU_L, (0.5, 5.0), 2, (0.01, 100.0)),
    of(Test::NtProBnp, 3_029_187, "33762-6", "4Z272000002302301", "Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma", "NT-proBNP", &PG_ML, (0.0, 125.0), 0, (5.0, 35000.0)),
    of(Test::Inr, 3_022_217, "6301-6", "2B030000002231157", "INR in Platelet poor plasma by Coagulation assay", "プロトロンビン時間(PT-INR)", &RATIO, (0.9, 1.1), 2, (0.6, 12.0)),
    of(Test::Psa, 3_013_603, "2857-1", "5D305000002302301", "Prostate specific Ag [Mass/volume] in Serum or Plasma", "PSA", &NG_ML, (0.0, 4.0), 2, (0.01, 500.0)),
];
