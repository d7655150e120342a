//! Which concepts beside diagnoses, drugs and tests do synthetic records use?

use super::drugs::Route;

/// A concept without a local code of its own.
pub struct Plain {
    pub id: i64,
    pub domain: &'static str,
    pub vocabulary: &'static str,
    pub class: &'static str,
    pub code: &'static str,
    pub en: &'static str,
    pub ja: &'static str,
}

/// A procedure, and the code of the Japanese fee schedule that records write for it.
pub struct Procedure {
    /// The fee schedule's code: by it the courses of disease call for the procedure.
    pub key: &'static str,
    pub id: i64,
    pub snomed: &'static str,
    pub en: &'static str,
    pub ja: &'static str,
}

pub const MALE: i64 = 8_507;
pub const FEMALE: i64 = 8_532;
pub const OUTPATIENT: i64 = 9_202;
pub const INPATIENT: i64 = 9_201;
pub const EMERGENCY: i64 = 9_203;
pub const RECORD: i64 = 32_817;
pub const ENCOUNTER: i64 = 32_827;
pub const PRESCRIPTION: i64 = 32_838;
pub const ADMINISTRATION: i64 = 32_818;
pub const LABORATORY: i64 = 32_856;
pub const DEATH_CERTIFICATE: i64 = 32_815;
pub const ALGORITHM: i64 = 32_880;
pub const ENGLISH: i64 = 4_180_186;
pub const JAPANESE: i64 = 4_181_536;
pub const SMOKING: i64 = 4_275_495;
pub const NEVER_SMOKED: i64 = 4_144_272;
pub const EX_SMOKER: i64 = 4_310_250;
pub const SMOKER: i64 = 4_298_794;
pub const DRUG_ALLERGY: i64 = 439_224;
pub const EQUALS: i64 = 4_172_703;
pub const OFFICE: i64 = 8_940;
pub const INPATIENT_HOSPITAL: i64 = 8_717;
pub const OUTPATIENT_HOSPITAL: i64 = 8_756;

/// The concept of a route; 0 where the records do not say.
pub const fn route(route: Route) -> i64 {
    match route {
        Route::Oral => 4_132_161,
        Route::Injection | Route::Inhaled | Route::Eye => 0,
    }
}

const fn plain(
    id: i64,
    domain: &'static str,
    vocabulary: &'static str,
    class: &'static str,
    code: &'static str,
    en: &'static str,
    ja: &'static str,
) -> Plain {
    Plain { id, domain, vocabulary, class, code, en, ja }
}

const fn procedure(key: &'static str, id: i64, snomed: &'static str, en: &'static str, ja: &'static str) -> Procedure {
    Procedure { key, id, snomed, en, ja }
}

/// Every concept without a local code.
#[rustfmt::skip]
pub const PLAIN: &[Plain] = &[
    plain(0, "Metadata", "None", "Undefined", "No matching concept", "No matching concept", "該当する概念なし"),
    plain(MALE, "Gender", "Gender", "Gender", "M", "MALE", "男性"),
    plain(FEMALE, "Gender", "Gender", "Gender", "F", "FEMALE", "女性"),
    plain(OUTPATIENT, "Visit", "Visit", "Visit", "OP", "Outpatient Visit", "外来"),
    plain(INPATIENT, "Visit", "Visit", "Visit", "IP", "Inpatient Visit", "入院"),
    plain(EMERGENCY, "Visit", "Visit", "Visit", "ER", "Emergency Room Visit", "救急外来"),
    plain(RECORD, "Type Concept", "Type Concept", "Type Concept", "OMOP4976890", "EHR", "電子カルテ"),
    plain(ENCOUNTER, "Type Concept", "Type Concept", "Type Concept", "OMOP4976900", "EHR encounter record", "電子カルテの受診記録"),
    plain(PRESCRIPTION, "Type Concept", "Type Concept", "Type Concept", "OMOP4976911", "EHR prescription", "電子カルテの処方"),
    plain(ADMINISTRATION, "Type Concept", "Type Concept", "Type Concept", "OMOP4976891", "EHR administration record", "電子カルテの投与記録"),
    plain(LABORATORY, "Type Concept", "Type Concept", "Type Concept", "OMOP4976929", "Lab", "検査"),
    plain(DEATH_CERTIFICATE, "Type Concept", "Type Concept", "Type Concept", "OMOP4976888", "Death Certificate", "死亡診断書"),
    plain(ALGORITHM, "Type Concept", "Type Concept", "Type Concept", "OMOP4976953", "Standard algorithm", "標準アルゴリズム"),
    plain(ENGLISH, "Language", "None", "Undefined", "en", "English language", "英語"),
    plain(JAPANESE, "Language", "None", "Undefined", "ja", "Japanese language", "日本語"),
    plain(SMOKING, "Observation", "SNOMED", "Observable Entity", "365981007", "Tobacco smoking behavior - finding", "喫煙習慣"),
    plain(NEVER_SMOKED, "Observation", "SNOMED", "Clinical Finding", "266919005", "Never smoked tobacco", "喫煙歴なし"),
    plain(EX_SMOKER, "Observation", "SNOMED", "Clinical Finding", "8517006", "Ex-smoker", "元喫煙者"),
    plain(SMOKER, "Observation", "SNOMED", "Clinical Finding", "77176002", "Smoker", "喫煙者"),
    plain(DRUG_ALLERGY, "Observation", "SNOMED", "Clinical Finding", "416098002", "Allergy to drug", "薬物アレルギー"),
    plain(EQUALS, "Meas Value Operator", "SNOMED", "Qualifier Value", "276136004", "=", "等しい"),
    plain(4_132_161, "Route", "SNOMED", "Qualifier Value", "26643006", "Oral", "経口"),
    plain(OFFICE, "Visit", "CMS Place of Service", "Visit", "11", "Office", "診療所"),
    plain(INPATIENT_HOSPITAL, "Visit", "CMS Place of Service", "Visit", "21", "Inpatient Hospital", "病院（入院）"),
    plain(OUTPATIENT_HOSPITAL, "Visit", "CMS Place of Service", "Visit", "22", "Outpatient Hospital", "病院（外来）"),
];

/// Every procedure. Upper gastrointestinal endoscopy stays unmapped, as sites leave local codes unmapped.
#[rustfmt::skip]
pub const PROCEDURES: &[Procedure] = &[
    procedure("E001", 4_163_872, "399208008", "Plain chest X-ray", "胸部単純X線撮影"),
    procedure("E200", 4_300_757, "77477000", "Computed tomography", "コンピューター断層撮影"),
    procedure("E202", 4_013_636, "113091000", "Magnetic resonance imaging", "磁気共鳴画像撮影"),
    procedure("E001-B", 4_324_693, "71651007", "Mammography", "乳房撮影"),
    procedure("D208", 4_163_951, "29303009", "Electrocardiographic procedure", "心電図検査"),
    procedure("D215-3", 4_230_911, "40701008", "Echocardiography", "心臓超音波検査"),
    procedure("D217", 4_195_803, "312681000", "Bone density scan", "骨塩定量検査"),
    procedure("D313", 4_249_893, "73761001", "Colonoscopy", "大腸内視鏡検査"),
    procedure("D308", 0, "", "Upper gastrointestinal endoscopy", "胃・十二指腸内視鏡検査"),
    procedure("J038", 4_120_120, "302497006", "Hemodialysis", "人工腎臓（血液透析）"),
    procedure("K549", 4_216_130, "415070008", "Percutaneous coronary intervention", "経皮的冠動脈インターベンション"),
    procedure("K552", 4_336_464, "232717009", "Coronary artery bypass graft", "冠動脈バイパス移植術"),
    procedure("K082-1", 4_203_771, "52734007", "Total replacement of hip", "人工股関節全置換術"),
    procedure("K082-3", 43_531_648, "609588000", "Total knee replacement", "人工膝関節全置換術"),
    procedure("K719", 4_181_781, "43075005", "Partial resection of colon", "結腸部分切除術"),
    procedure("K843", 4_235_738, "90470006", "Prostatectomy", "前立腺全摘術"),
    procedure("K476", 4_213_045, "392021009", "Lumpectomy of breast", "乳房部分切除術"),
    procedure("K672-2", 4_163_971, "45595009", "Laparoscopic cholecystectomy", "腹腔鏡下胆嚢摘出術"),
    procedure("G004", 4_273_629, "367336001", "Chemotherapy", "化学療法"),
    procedure("H002", 4_238_738, "91251008", "Physical therapy procedure", "運動器リハビリテーション"),
];
