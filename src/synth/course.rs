//! Which illnesses do people have at which age, and what follows from them: visits, drugs, tests, procedures?
//!
//! Two tables, readable by a clinician: chronic conditions by prevalence, acute ones by yearly rate. They are plausible,
//! not fitted to any data. Conditions are named by ICD-10 code, drugs by ingredient, procedures by fee-schedule code.

use super::codes::measurements::Test;

/// By age: 0-9, 10-19, … 80-89, 90 and older.
pub type ByAge = [f64; 10];

/// A condition that stays.
pub struct Chronic {
    pub icd10: &'static str,
    /// Share of men who have it, by age.
    pub men: ByAge,
    /// Women's share is the men's times this.
    pub women: f64,
    /// What multiplies the share: conditions earlier in the table.
    pub raised_by: &'static [(&'static str, f64)],
    /// Days between visits; 0: none on its own account.
    pub visit_days: u16,
    /// Drugs, and the share of those who have the condition that takes them.
    pub drugs: &'static [(&'static str, f64)],
    /// Tests, and how often at a visit.
    pub tests: &'static [(Test, f64)],
    /// Procedures, and how often at a visit.
    pub procedures: &'static [(&'static str, f64)],
}

/// A condition that comes and goes.
pub struct Acute {
    pub icd10: &'static str,
    /// Episodes a year, by age.
    pub rate: ByAge,
    /// Women's rate is the men's times this.
    pub women: f64,
    /// Weight of each month, January first.
    pub months: [u32; 12],
    /// Share admitted to hospital: below 65 years, from 65 on.
    pub admitted: (f64, f64),
    pub drugs: &'static [(&'static str, f64)],
    pub tests: &'static [(Test, f64)],
    pub procedures: &'static [(&'static str, f64)],
}

const EVEN: [u32; 12] = [1; 12];
const WINTER: [u32; 12] = [14, 12, 10, 8, 7, 6, 6, 5, 6, 8, 10, 13];
const FLU: [u32; 12] = [30, 22, 12, 5, 1, 0, 0, 0, 1, 2, 7, 20];
const POLLEN: [u32; 12] = [3, 22, 38, 22, 5, 1, 0, 1, 3, 3, 1, 1];
const SUMMER: [u32; 12] = [5, 5, 6, 7, 9, 11, 13, 13, 11, 8, 6, 6];

const BLOOD: &[(Test, f64)] = &[
    (Test::Leukocytes, 0.9),
    (Test::Hemoglobin, 0.9),
    (Test::Platelets, 0.9),
    (Test::Crp, 0.9),
    (Test::Ast, 0.7),
    (Test::Alt, 0.7),
    (Test::Creatinine, 0.8),
    (Test::Egfr, 0.6),
    (Test::UreaNitrogen, 0.7),
    (Test::Sodium, 0.7),
    (Test::Potassium, 0.7),
    (Test::Albumin, 0.5),
];
const ONCOLOGY: &[(Test, f64)] = &[
    (Test::Leukocytes, 0.8),
    (Test::Hemoglobin, 0.8),
    (Test::Platelets, 0.8),
    (Test::Ast, 0.5),
    (Test::Alt, 0.5),
    (Test::Creatinine, 0.6),
    (Test::Albumin, 0.4),
];

/// Every chronic condition. A condition may only be raised by earlier ones.
#[rustfmt::skip]
pub const CHRONIC: &[Chronic] = &[
    Chronic { icd10: "E66.9", men: [0.005, 0.01, 0.02, 0.03, 0.035, 0.03, 0.025, 0.015, 0.005, 0.002], women: 0.7, raised_by: &[], visit_days: 0, drugs: &[], tests: &[(Test::Bmi, 0.6), (Test::Weight, 0.6)], procedures: &[] },
    Chronic { icd10: "E10", men: [0.0003, 0.0008, 0.001, 0.001, 0.001, 0.001, 0.001, 0.0008, 0.0005, 0.0003], women: 1.2, raised_by: &[], visit_days: 35, drugs: &[("insulin glargine", 0.97)], tests: &[(Test::HbA1c, 0.9), (Test::Glucose, 0.9), (Test::Creatinine, 0.2), (Test::Egfr, 0.2)], procedures: &[] },
    Chronic { icd10: "E11", men: [0.0, 0.0004, 0.003, 0.012, 0.04, 0.09, 0.16, 0.21, 0.21, 0.17], women: 0.6, raised_by: &[("E66.9", 2.6)], visit_days: 49, drugs: &[("metformin", 0.55), ("sitagliptin", 0.33), ("linagliptin", 0.12), ("vildagliptin", 0.06), ("glimepiride", 0.14), ("empagliflozin", 0.18), ("dapagliflozin", 0.14), ("pioglitazone", 0.06), ("insulin glargine", 0.09)], tests: &[(Test::HbA1c, 0.8), (Test::Glucose, 0.7), (Test::Creatinine, 0.25), (Test::Egfr, 0.25), (Test::Ldl, 0.15)], procedures: &[] },
    Chronic { icd10: "I10", men: [0.0, 0.0005, 0.01, 0.04, 0.12, 0.25, 0.38, 0.5, 0.6, 0.58], women: 0.88, raised_by: &[("E11", 1.4), ("E66.9", 1.6)], visit_days: 63, drugs: &[("amlodipine", 0.52), ("telmisartan", 0.18), ("candesartan", 0.16), ("olmesartan", 0.16), ("losartan", 0.1), ("valsartan", 0.08), ("bisoprolol", 0.04)], tests: &[(Test::Systolic, 0.55), (Test::Diastolic, 0.55), (Test::Potassium, 0.07), (Test::Creatinine, 0.1), (Test::Egfr, 0.1)], procedures: &[("D208", 0.015)] },
    Chronic { icd10: "E78.5", men: [0.0, 0.001, 0.012, 0.05, 0.12, 0.2, 0.26, 0.28, 0.22, 0.12], women: 1.15, raised_by: &[("E11", 1.5), ("E66.9", 1.4)], visit_days: 70, drugs: &[("rosuvastatin", 0.34), ("atorvastatin", 0.27), ("pitavastatin", 0.18), ("pravastatin", 0.1), ("simvastatin", 0.02)], tests: &[(Test::Ldl, 0.35), (Test::Hdl, 0.25), (Test::Triglyceride, 0.25), (Test::Ast, 0.12), (Test::Alt, 0.12)], procedures: &[] },
    Chronic { icd10: "K76.0", men: [0.0, 0.004, 0.015, 0.04, 0.06, 0.06, 0.05, 0.035, 0.02, 0.01], women: 0.6, raised_by: &[("E66.9", 3.0), ("E11", 1.7)], visit_days: 0, drugs: &[], tests: &[(Test::Ast, 0.4), (Test::Alt, 0.4), (Test::Ggt, 0.4)], procedures: &[] },
    Chronic { icd10: "N18.3", men: [0.0, 0.0003, 0.001, 0.003, 0.008, 0.02, 0.045, 0.1, 0.17, 0.22], women: 0.9, raised_by: &[("E11", 1.8), ("I10", 1.4)], visit_days: 84, drugs: &[], tests: &[(Test::Creatinine, 0.6), (Test::Egfr, 0.6), (Test::UreaNitrogen, 0.5), (Test::Potassium, 0.4), (Test::Hemoglobin, 0.4)], procedures: &[] },
    Chronic { icd10: "N18.5", men: [0.0, 0.0, 0.0002, 0.0005, 0.0012, 0.0025, 0.0035, 0.005, 0.0055, 0.003], women: 0.5, raised_by: &[("E11", 3.0), ("I10", 1.5)], visit_days: 14, drugs: &[("darbepoetin alfa", 0.7)], tests: &[(Test::Hemoglobin, 0.6), (Test::Potassium, 0.6), (Test::UreaNitrogen, 0.6), (Test::Creatinine, 0.4), (Test::Albumin, 0.2)], procedures: &[("J038", 1.0)] },
    Chronic { icd10: "I25.1", men: [0.0, 0.0, 0.0002, 0.001, 0.006, 0.02, 0.05, 0.085, 0.11, 0.1], women: 0.5, raised_by: &[("E11", 1.7), ("I10", 1.4), ("E78.5", 1.5)], visit_days: 63, drugs: &[("aspirin", 0.65), ("clopidogrel", 0.3), ("atorvastatin", 0.25), ("bisoprolol", 0.3)], tests: &[(Test::Ldl, 0.3)], procedures: &[("D208", 0.12), ("D215-3", 0.03), ("K549", 0.004), ("K552", 0.0008)] },
    Chronic { icd10: "I48", men: [0.0, 0.0, 0.0005, 0.001, 0.004, 0.011, 0.027, 0.05, 0.075, 0.09], women: 0.6, raised_by: &[("I10", 1.3)], visit_days: 49, drugs: &[("apixaban", 0.34), ("edoxaban", 0.26), ("rivaroxaban", 0.18), ("warfarin", 0.14), ("bisoprolol", 0.5)], tests: &[(Test::Inr, 0.15), (Test::HeartRate, 0.4), (Test::NtProBnp, 0.08)], procedures: &[("D208", 0.15)] },
    Chronic { icd10: "I50.9", men: [0.0, 0.0001, 0.0003, 0.001, 0.003, 0.007, 0.016, 0.036, 0.075, 0.13], women: 0.9, raised_by: &[("I25.1", 2.3), ("I48", 2.3)], visit_days: 42, drugs: &[("furosemide", 0.6), ("carvedilol", 0.4), ("spironolactone", 0.3)], tests: &[(Test::NtProBnp, 0.4), (Test::Weight, 0.4), (Test::Potassium, 0.3)], procedures: &[("D215-3", 0.08), ("E001", 0.1)] },
    Chronic { icd10: "I63.9", men: [0.0, 0.0001, 0.0004, 0.001, 0.004, 0.011, 0.027, 0.055, 0.085, 0.1], women: 0.7, raised_by: &[("I10", 1.4), ("I48", 1.8)], visit_days: 56, drugs: &[("clopidogrel", 0.5), ("aspirin", 0.25)], tests: &[], procedures: &[("E202", 0.03), ("H002", 0.05)] },
    Chronic { icd10: "J45.9", men: [0.06, 0.04, 0.03, 0.03, 0.033, 0.037, 0.042, 0.045, 0.04, 0.03], women: 1.1, raised_by: &[], visit_days: 70, drugs: &[("fluticasone", 0.45), ("budesonide", 0.25), ("montelukast", 0.4), ("albuterol", 0.2)], tests: &[(Test::Saturation, 0.2)], procedures: &[("E001", 0.01)] },
    Chronic { icd10: "J44.9", men: [0.0, 0.0, 0.0003, 0.001, 0.005, 0.015, 0.04, 0.07, 0.08, 0.06], women: 0.3, raised_by: &[], visit_days: 63, drugs: &[("budesonide", 0.4), ("carbocisteine", 0.3)], tests: &[(Test::Saturation, 0.4)], procedures: &[("E001", 0.06)] },
    Chronic { icd10: "J30.1", men: [0.1, 0.3, 0.33, 0.38, 0.38, 0.35, 0.27, 0.18, 0.09, 0.05], women: 1.1, raised_by: &[], visit_days: 0, drugs: &[], tests: &[], procedures: &[] },
    Chronic { icd10: "K21.9", men: [0.0, 0.003, 0.015, 0.035, 0.055, 0.075, 0.1, 0.12, 0.12, 0.1], women: 1.0, raised_by: &[], visit_days: 84, drugs: &[("lansoprazole", 0.28), ("esomeprazole", 0.26), ("vonoprazan", 0.22), ("rabeprazole", 0.16), ("famotidine", 0.1)], tests: &[], procedures: &[("D308", 0.05)] },
    Chronic { icd10: "K59.0", men: [0.01, 0.008, 0.01, 0.015, 0.02, 0.03, 0.06, 0.11, 0.18, 0.22], women: 1.3, raised_by: &[], visit_days: 84, drugs: &[("magnesium oxide", 0.65), ("sennosides", 0.25)], tests: &[], procedures: &[] },
    Chronic { icd10: "G47.0", men: [0.0, 0.004, 0.017, 0.03, 0.045, 0.06, 0.08, 0.11, 0.14, 0.13], women: 1.3, raised_by: &[], visit_days: 84, drugs: &[("zolpidem", 0.38), ("eszopiclone", 0.34)], tests: &[], procedures: &[] },
    Chronic { icd10: "F32.9", men: [0.0, 0.008, 0.027, 0.033, 0.033, 0.028, 0.022, 0.02, 0.017, 0.01], women: 1.5, raised_by: &[("G47.0", 2.0)], visit_days: 49, drugs: &[("escitalopram", 0.34), ("sertraline", 0.26), ("duloxetine", 0.24)], tests: &[], procedures: &[] },
    Chronic { icd10: "F20.9", men: [0.0, 0.002, 0.006, 0.008, 0.008, 0.008, 0.007, 0.005, 0.003, 0.002], women: 0.95, raised_by: &[], visit_days: 42, drugs: &[("aripiprazole", 0.4), ("risperidone", 0.32), ("olanzapine", 0.28)], tests: &[], procedures: &[] },
    Chronic { icd10: "F31.9", men: [0.0, 0.001, 0.003, 0.004, 0.004, 0.004, 0.003, 0.002, 0.001, 0.001], women: 1.1, raised_by: &[], visit_days: 49, drugs: &[("aripiprazole", 0.4), ("olanzapine", 0.25)], tests: &[], procedures: &[] },
    Chronic { icd10: "G30.9", men: [0.0, 0.0, 0.0, 0.0, 0.0002, 0.0015, 0.008, 0.03, 0.13, 0.28], women: 1.35, raised_by: &[], visit_days: 56, drugs: &[("donepezil", 0.55), ("memantine", 0.25)], tests: &[], procedures: &[("E202", 0.01)] },
    Chronic { icd10: "G20", men: [0.0, 0.0, 0.0, 0.0001, 0.0004, 0.001, 0.004, 0.01, 0.013, 0.01], women: 1.1, raised_by: &[], visit_days: 49, drugs: &[("levodopa", 0.9)], tests: &[], procedures: &[("H002", 0.1)] },
    Chronic { icd10: "G40.9", men: [0.006, 0.006, 0.005, 0.005, 0.005, 0.005, 0.006, 0.008, 0.01, 0.01], women: 0.9, raised_by: &[("I63.9", 3.0)], visit_days: 70, drugs: &[("levetiracetam", 0.5), ("carbamazepine", 0.2)], tests: &[], procedures: &[] },
    Chronic { icd10: "G43.9", men: [0.003, 0.015, 0.02, 0.025, 0.022, 0.012, 0.006, 0.003, 0.001, 0.0], women: 3.2, raised_by: &[], visit_days: 112, drugs: &[("loxoprofen", 0.5)], tests: &[], procedures: &[("E202", 0.02)] },
    Chronic { icd10: "E03.9", men: [0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.016, 0.014], women: 4.0, raised_by: &[], visit_days: 84, drugs: &[("levothyroxine", 0.85)], tests: &[(Test::Thyrotropin, 0.6)], procedures: &[] },
    Chronic { icd10: "E05.9", men: [0.0001, 0.0006, 0.0015, 0.002, 0.002, 0.0018, 0.0012, 0.001, 0.0005, 0.0003], women: 4.0, raised_by: &[], visit_days: 56, drugs: &[("methimazole", 0.8)], tests: &[(Test::Thyrotropin, 0.7), (Test::Leukocytes, 0.4)], procedures: &[] },
    Chronic { icd10: "M10.9", men: [0.0, 0.0005, 0.006, 0.02, 0.033, 0.042, 0.042, 0.038, 0.03, 0.02], women: 0.08, raised_by: &[("E66.9", 1.8)], visit_days: 84, drugs: &[("febuxostat", 0.52), ("allopurinol", 0.32)], tests: &[(Test::UricAcid, 0.6), (Test::Creatinine, 0.2)], procedures: &[] },
    Chronic { icd10: "M81.9", men: [0.0, 0.0, 0.0, 0.0008, 0.002, 0.006, 0.015, 0.032, 0.05, 0.055], women: 5.0, raised_by: &[], visit_days: 84, drugs: &[("alendronate", 0.45)], tests: &[], procedures: &[("D217", 0.08)] },
    Chronic { icd10: "M17.9", men: [0.0, 0.0, 0.001, 0.004, 0.01, 0.028, 0.06, 0.095, 0.12, 0.1], women: 1.7, raised_by: &[("E66.9", 1.6)], visit_days: 70, drugs: &[("loxoprofen", 0.45), ("acetaminophen", 0.2), ("diclofenac", 0.06)], tests: &[], procedures: &[("H002", 0.1), ("K082-3", 0.003)] },
    Chronic { icd10: "M06.9", men: [0.0, 0.0004, 0.0008, 0.0015, 0.0028, 0.004, 0.006, 0.008, 0.008, 0.005], women: 2.6, raised_by: &[], visit_days: 49, drugs: &[("methotrexate", 0.62), ("prednisolone", 0.4)], tests: &[(Test::Crp, 0.6), (Test::Leukocytes, 0.4), (Test::Hemoglobin, 0.4), (Test::Ast, 0.3), (Test::Alt, 0.3)], procedures: &[] },
    Chronic { icd10: "N40", men: [0.0, 0.0, 0.0002, 0.001, 0.01, 0.05, 0.11, 0.2, 0.26, 0.26], women: 0.0, raised_by: &[], visit_days: 84, drugs: &[("tamsulosin", 0.6)], tests: &[(Test::Psa, 0.12)], procedures: &[] },
    Chronic { icd10: "H40.9", men: [0.0, 0.0005, 0.003, 0.008, 0.017, 0.03, 0.045, 0.07, 0.085, 0.08], women: 1.0, raised_by: &[], visit_days: 91, drugs: &[("latanoprost", 0.65)], tests: &[], procedures: &[] },
    Chronic { icd10: "H26.9", men: [0.0, 0.0002, 0.0006, 0.002, 0.007, 0.022, 0.065, 0.13, 0.14, 0.11], women: 1.2, raised_by: &[("E11", 1.4)], visit_days: 182, drugs: &[], tests: &[], procedures: &[] },
    Chronic { icd10: "L20.9", men: [0.06, 0.045, 0.04, 0.032, 0.022, 0.014, 0.01, 0.008, 0.007, 0.006], women: 1.0, raised_by: &[], visit_days: 98, drugs: &[("fexofenadine", 0.2), ("cetirizine", 0.1)], tests: &[], procedures: &[] },
    Chronic { icd10: "D50.9", men: [0.002, 0.002, 0.001, 0.001, 0.002, 0.003, 0.006, 0.012, 0.02, 0.025], women: 5.0, raised_by: &[], visit_days: 98, drugs: &[], tests: &[(Test::Hemoglobin, 0.8), (Test::Hematocrit, 0.6), (Test::Erythrocytes, 0.6), (Test::Platelets, 0.4)], procedures: &[] },
    Chronic { icd10: "K51.9", men: [0.0001, 0.0012, 0.0022, 0.0022, 0.002, 0.0018, 0.0015, 0.001, 0.0006, 0.0003], women: 0.8, raised_by: &[], visit_days: 63, drugs: &[("prednisolone", 0.15)], tests: &[(Test::Crp, 0.6), (Test::Hemoglobin, 0.5)], procedures: &[("D313", 0.07)] },
    Chronic { icd10: "B18.2", men: [0.0, 0.0001, 0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.01, 0.006], women: 0.9, raised_by: &[], visit_days: 112, drugs: &[], tests: &[(Test::Ast, 0.7), (Test::Alt, 0.7), (Test::Ggt, 0.4), (Test::Platelets, 0.5)], procedures: &[] },
    Chronic { icd10: "K74.6", men: [0.0, 0.0, 0.0001, 0.0006, 0.0018, 0.004, 0.006, 0.006, 0.005, 0.003], women: 0.6, raised_by: &[("B18.2", 6.0), ("K76.0", 1.6)], visit_days: 63, drugs: &[("spironolactone", 0.25), ("furosemide", 0.2)], tests: &[(Test::Ast, 0.7), (Test::Alt, 0.7), (Test::Bilirubin, 0.7), (Test::Albumin, 0.7), (Test::Platelets, 0.6)], procedures: &[("D308", 0.03)] },
    Chronic { icd10: "C16.9", men: [0.0, 0.0, 0.0, 0.0004, 0.0012, 0.004, 0.011, 0.02, 0.024, 0.018], women: 0.45, raised_by: &[], visit_days: 56, drugs: &[("oxaliplatin", 0.1)], tests: ONCOLOGY, procedures: &[("E200", 0.12), ("D308", 0.08), ("G004", 0.08)] },
    Chronic { icd10: "C18.9", men: [0.0, 0.0, 0.0001, 0.0006, 0.002, 0.005, 0.012, 0.019, 0.022, 0.018], women: 0.8, raised_by: &[], visit_days: 56, drugs: &[("fluorouracil", 0.16), ("oxaliplatin", 0.14)], tests: ONCOLOGY, procedures: &[("E200", 0.12), ("D313", 0.06), ("G004", 0.1), ("K719", 0.01)] },
    Chronic { icd10: "C34.9", men: [0.0, 0.0, 0.0001, 0.0003, 0.001, 0.003, 0.009, 0.016, 0.017, 0.01], women: 0.5, raised_by: &[("J44.9", 2.0)], visit_days: 35, drugs: &[("cisplatin", 0.15), ("docetaxel", 0.12)], tests: ONCOLOGY, procedures: &[("E200", 0.18), ("E001", 0.2), ("G004", 0.12)] },
    Chronic { icd10: "C50.9", men: [0.0, 0.0, 0.00001, 0.00003, 0.0001, 0.00014, 0.00015, 0.00015, 0.00012, 0.0001], women: 130.0, raised_by: &[], visit_days: 84, drugs: &[("anastrozole", 0.4), ("tamoxifen", 0.3), ("docetaxel", 0.05)], tests: ONCOLOGY, procedures: &[("E001-B", 0.12), ("K476", 0.02), ("G004", 0.03)] },
    Chronic { icd10: "C61", men: [0.0, 0.0, 0.0, 0.0, 0.0004, 0.004, 0.018, 0.04, 0.05, 0.04], women: 0.0, raised_by: &[], visit_days: 84, drugs: &[("bicalutamide", 0.35)], tests: &[(Test::Psa, 0.9), (Test::Creatinine, 0.3), (Test::Hemoglobin, 0.3)], procedures: &[("K843", 0.01)] },
    Chronic { icd10: "C25.9", men: [0.0, 0.0, 0.0, 0.0001, 0.0003, 0.001, 0.002, 0.0032, 0.0036, 0.003], women: 0.85, raised_by: &[("E11", 1.6)], visit_days: 28, drugs: &[("fluorouracil", 0.2)], tests: ONCOLOGY, procedures: &[("E200", 0.2), ("G004", 0.15)] },
];

/// Every acute condition. Pollinosis comes each spring to those who have it (J30.1 above); its rate is theirs alone.
#[rustfmt::skip]
pub const ACUTE: &[Acute] = &[
    Acute { icd10: "J30.1", rate: [0.5, 0.42, 0.32, 0.36, 0.4, 0.45, 0.5, 0.5, 0.45, 0.3], women: 1.1, months: POLLEN, admitted: (0.0, 0.0), drugs: &[("fexofenadine", 0.42), ("cetirizine", 0.26), ("loratadine", 0.2), ("montelukast", 0.12)], tests: &[], procedures: &[] },
    Acute { icd10: "J00", rate: [1.1, 0.4, 0.25, 0.25, 0.22, 0.18, 0.16, 0.16, 0.18, 0.2], women: 1.1, months: WINTER, admitted: (0.0, 0.0), drugs: &[("carbocisteine", 0.5), ("acetaminophen", 0.4), ("clarithromycin", 0.06)], tests: &[(Test::Temperature, 0.2)], procedures: &[] },
    Acute { icd10: "J11.1", rate: [0.22, 0.18, 0.06, 0.07, 0.06, 0.04, 0.03, 0.025, 0.025, 0.03], women: 1.0, months: FLU, admitted: (0.002, 0.03), drugs: &[("oseltamivir", 0.6), ("acetaminophen", 0.55)], tests: &[(Test::Temperature, 0.5)], procedures: &[] },
    Acute { icd10: "U07.1", rate: [0.08, 0.08, 0.08, 0.08, 0.07, 0.06, 0.05, 0.05, 0.06, 0.08], women: 1.0, months: [16, 12, 5, 4, 4, 4, 10, 18, 9, 4, 5, 9], admitted: (0.01, 0.12), drugs: &[("acetaminophen", 0.6), ("carbocisteine", 0.3)], tests: &[(Test::Temperature, 0.5), (Test::Saturation, 0.5)], procedures: &[] },
    Acute { icd10: "J02.9", rate: [0.35, 0.15, 0.1, 0.1, 0.08, 0.06, 0.05, 0.05, 0.05, 0.05], women: 1.1, months: WINTER, admitted: (0.0, 0.0), drugs: &[("amoxicillin", 0.22), ("acetaminophen", 0.5)], tests: &[], procedures: &[] },
    Acute { icd10: "J20.9", rate: [0.25, 0.08, 0.05, 0.06, 0.06, 0.06, 0.07, 0.08, 0.1, 0.1], women: 1.0, months: WINTER, admitted: (0.003, 0.02), drugs: &[("carbocisteine", 0.5), ("clarithromycin", 0.2), ("azithromycin", 0.1)], tests: &[(Test::Crp, 0.2)], procedures: &[("E001", 0.2)] },
    Acute { icd10: "H66.9", rate: [0.3, 0.03, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], women: 1.0, months: WINTER, admitted: (0.0, 0.0), drugs: &[("amoxicillin", 0.6)], tests: &[], procedures: &[] },
    Acute { icd10: "H10.9", rate: [0.2, 0.12, 0.07, 0.07, 0.07, 0.07, 0.08, 0.08, 0.07, 0.05], women: 1.1, months: POLLEN, admitted: (0.0, 0.0), drugs: &[], tests: &[], procedures: &[] },
    Acute { icd10: "K59.1", rate: [0.2, 0.08, 0.06, 0.05, 0.05, 0.04, 0.04, 0.05, 0.05, 0.06], women: 1.0, months: SUMMER, admitted: (0.004, 0.03), drugs: &[], tests: &[], procedures: &[] },
    Acute { icd10: "L50.9", rate: [0.05, 0.03, 0.035, 0.035, 0.035, 0.035, 0.035, 0.035, 0.03, 0.03], women: 1.3, months: SUMMER, admitted: (0.0, 0.0), drugs: &[("fexofenadine", 0.5), ("cetirizine", 0.25)], tests: &[], procedures: &[] },
    Acute { icd10: "M54.5", rate: [0.0, 0.04, 0.06, 0.09, 0.11, 0.12, 0.14, 0.18, 0.2, 0.18], women: 1.0, months: EVEN, admitted: (0.002, 0.01), drugs: &[("loxoprofen", 0.55), ("acetaminophen", 0.15), ("pregabalin", 0.08)], tests: &[], procedures: &[("E202", 0.06), ("H002", 0.12)] },
    Acute { icd10: "B02.9", rate: [0.001, 0.002, 0.003, 0.003, 0.004, 0.007, 0.009, 0.01, 0.01, 0.01], women: 1.2, months: SUMMER, admitted: (0.01, 0.05), drugs: &[("acetaminophen", 0.5), ("pregabalin", 0.2)], tests: &[], procedures: &[] },
    Acute { icd10: "N39.0", rate: [0.008, 0.006, 0.01, 0.01, 0.012, 0.014, 0.018, 0.03, 0.05, 0.07], women: 3.0, months: SUMMER, admitted: (0.01, 0.12), drugs: &[("levofloxacin", 0.5), ("cefazolin", 0.05)], tests: &[(Test::Crp, 0.3), (Test::Leukocytes, 0.3)], procedures: &[] },
    Acute { icd10: "R51", rate: [0.03, 0.05, 0.04, 0.04, 0.04, 0.03, 0.03, 0.03, 0.02, 0.02], women: 1.6, months: EVEN, admitted: (0.0, 0.0), drugs: &[("ibuprofen", 0.3), ("loxoprofen", 0.3)], tests: &[], procedures: &[("E200", 0.15)] },
    Acute { icd10: "R10.4", rate: [0.05, 0.04, 0.04, 0.04, 0.04, 0.04, 0.05, 0.05, 0.05, 0.05], women: 1.1, months: EVEN, admitted: (0.01, 0.05), drugs: &[("famotidine", 0.25)], tests: &[(Test::Leukocytes, 0.3), (Test::Crp, 0.3), (Test::Bilirubin, 0.2)], procedures: &[("E200", 0.1), ("D308", 0.12)] },
    Acute { icd10: "K25.9", rate: [0.0, 0.0005, 0.002, 0.003, 0.005, 0.006, 0.008, 0.01, 0.01, 0.01], women: 0.7, months: EVEN, admitted: (0.08, 0.25), drugs: &[("vonoprazan", 0.5), ("lansoprazole", 0.4)], tests: &[(Test::Hemoglobin, 0.6)], procedures: &[("D308", 0.8)] },
    Acute { icd10: "J18.9", rate: [0.01, 0.003, 0.002, 0.002, 0.003, 0.005, 0.01, 0.022, 0.05, 0.1], women: 0.7, months: WINTER, admitted: (0.25, 0.6), drugs: &[("ceftriaxone", 0.4), ("levofloxacin", 0.3), ("azithromycin", 0.15)], tests: BLOOD, procedures: &[("E001", 0.9), ("E200", 0.3)] },
    Acute { icd10: "I21.9", rate: [0.0, 0.0, 0.0001, 0.0002, 0.0008, 0.0018, 0.0028, 0.004, 0.006, 0.007], women: 0.4, months: WINTER, admitted: (1.0, 1.0), drugs: &[("aspirin", 0.9), ("clopidogrel", 0.6), ("atorvastatin", 0.6)], tests: BLOOD, procedures: &[("K549", 0.75), ("D208", 1.0), ("D215-3", 0.8)] },
    Acute { icd10: "I61.9", rate: [0.0, 0.0, 0.0001, 0.0002, 0.0005, 0.0008, 0.0012, 0.002, 0.003, 0.004], women: 0.8, months: WINTER, admitted: (1.0, 1.0), drugs: &[("amlodipine", 0.6), ("levetiracetam", 0.2)], tests: BLOOD, procedures: &[("E200", 1.0), ("E202", 0.5), ("H002", 0.8)] },
    Acute { icd10: "S72.0", rate: [0.0, 0.0, 0.0, 0.0, 0.0001, 0.0003, 0.0007, 0.002, 0.006, 0.012], women: 3.0, months: WINTER, admitted: (0.95, 1.0), drugs: &[("cefazolin", 0.8), ("acetaminophen", 0.8), ("alendronate", 0.2)], tests: BLOOD, procedures: &[("K082-1", 0.3), ("H002", 0.9), ("E001", 0.8)] },
    Acute { icd10: "A41.9", rate: [0.0002, 0.0001, 0.0001, 0.0001, 0.0002, 0.0004, 0.001, 0.003, 0.007, 0.012], women: 0.8, months: SUMMER, admitted: (1.0, 1.0), drugs: &[("ceftriaxone", 0.8)], tests: BLOOD, procedures: &[("E200", 0.7)] },
];
