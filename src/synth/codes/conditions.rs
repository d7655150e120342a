//! Which conditions can a synthetic person have, and what are they called?
//!
//! Standard concepts with their SNOMED codes, the ICD-10 code under which a Japanese record files them, and their place
//! in the hierarchy. Order matters: the position of a row gives its ICD-10 code a local concept id, so append only.

/// A condition: the standard concept, and the ICD-10 code that maps to it (empty for pure ancestors).
pub struct Condition {
    pub id: i64,
    pub snomed: &'static str,
    pub icd10: &'static str,
    pub en: &'static str,
    pub ja: &'static str,
    pub parents: &'static [i64],
}

const fn of(
    id: i64,
    snomed: &'static str,
    icd10: &'static str,
    en: &'static str,
    ja: &'static str,
    parents: &'static [i64],
) -> Condition {
    Condition { id, snomed, icd10, en, ja, parents }
}

const FINDING: i64 = 441_840;
const DISEASE: i64 = 4_274_025;
const HEART: i64 = 134_057;
const LUNG: i64 = 320_136;
const ENDOCRINE: i64 = 31_821;
const METABOLIC: i64 = 436_670;
const NERVE: i64 = 376_337;
const MIND: i64 = 432_586;
const GUT: i64 = 4_201_745;
const KIDNEY: i64 = 198_124;
const URINARY: i64 = 75_865;
const CANCER: i64 = 443_392;
const BONE: i64 = 4_244_662;
const SKIN: i64 = 4_317_258;
const INFECTION: i64 = 432_250;

/// Every condition.
pub const CONDITIONS: &[Condition] = &[
    of(FINDING, "404684003", "", "Clinical finding", "臨床所見", &[]),
    of(DISEASE, "64572001", "", "Disease", "疾患", &[FINDING]),
    of(HEART, "49601007", "", "Disorder of cardiovascular system", "循環器系の疾患", &[DISEASE]),
    of(LUNG, "50043002", "", "Disorder of respiratory system", "呼吸器系の疾患", &[DISEASE]),
    of(ENDOCRINE, "362969004", "", "Disorder of endocrine system", "内分泌系の疾患", &[DISEASE]),
    of(METABOLIC, "75934005", "", "Metabolic disease", "代謝疾患", &[DISEASE]),
    of(NERVE, "118940003", "", "Disorder of nervous system", "神経系の疾患", &[DISEASE]),
    of(MIND, "74732009", "", "Mental disorder", "精神疾患", &[DISEASE]),
    of(GUT, "53619000", "", "Disorder of digestive system", "消化器系の疾患", &[DISEASE]),
    of(URINARY, "128606002", "", "Disorder of the urinary system", "泌尿器系の疾患", &[DISEASE]),
    of(KIDNEY, "90708001", "", "Kidney disease", "腎疾患", &[URINARY]),
    of(CANCER, "363346000", "", "Malignant neoplastic disease", "悪性腫瘍", &[DISEASE]),
    of(BONE, "928000", "", "Disorder of musculoskeletal system", "筋骨格系の疾患", &[DISEASE]),
    of(SKIN, "95320005", "", "Disorder of skin", "皮膚疾患", &[DISEASE]),
    of(INFECTION, "40733004", "", "Disorder due to infection", "感染症", &[DISEASE]),
    // Endocrine and metabolic
    of(201_820, "73211009", "E14", "Diabetes mellitus", "糖尿病", &[ENDOCRINE, METABOLIC]),
    of(201_826, "44054006", "E11", "Type 2 diabetes mellitus", "2型糖尿病", &[201_820]),
    of(201_254, "46635009", "E10", "Type 1 diabetes mellitus", "1型糖尿病", &[201_820]),
    of(192_279, "127013003", "E11.2", "Disorder of kidney due to diabetes mellitus", "糖尿病性腎症", &[KIDNEY]),
    of(4_174_977, "4855003", "E11.3", "Retinopathy due to diabetes mellitus", "糖尿病網膜症", &[DISEASE]),
    of(432_867, "55822004", "E78.5", "Hyperlipidemia", "脂質異常症", &[METABOLIC]),
    of(437_827, "267432004", "E78.0", "Pure hypercholesterolemia", "高コレステロール血症", &[432_867]),
    of(433_736, "414916001", "E66.9", "Obesity", "肥満症", &[DISEASE]),
    of(140_673, "40930008", "E03.9", "Hypothyroidism", "甲状腺機能低下症", &[ENDOCRINE]),
    of(4_142_479, "34486009", "E05.9", "Hyperthyroidism", "甲状腺機能亢進症", &[ENDOCRINE]),
    of(440_674, "90560007", "M10.9", "Gout", "痛風", &[METABOLIC, BONE]),
    // Heart and vessels
    of(316_866, "38341003", "I15.9", "Hypertensive disorder", "高血圧性疾患", &[HEART]),
    of(320_128, "59621000", "I10", "Essential hypertension", "本態性高血圧症", &[316_866]),
    of(317_576, "53741008", "I25.1", "Coronary arteriosclerosis", "冠動脈硬化症", &[HEART]),
    of(4_329_847, "22298006", "I25.2", "Myocardial infarction", "心筋梗塞", &[HEART]),
    of(312_327, "57054005", "I21.9", "Acute myocardial infarction", "急性心筋梗塞", &[4_329_847]),
    of(321_318, "194828000", "I20.9", "Angina pectoris", "狭心症", &[HEART]),
    of(316_139, "84114007", "I50.9", "Heart failure", "心不全", &[HEART]),
    of(313_217, "49436004", "I48", "Atrial fibrillation", "心房細動", &[HEART]),
    of(381_591, "62914000", "I67.9", "Cerebrovascular disease", "脳血管疾患", &[HEART, NERVE]),
    of(443_454, "432504007", "I63.9", "Cerebral infarction", "脳梗塞", &[381_591]),
    of(439_847, "1386000", "I61.9", "Intracranial hemorrhage", "頭蓋内出血", &[381_591]),
    // Kidney and urinary
    of(46_271_022, "709044004", "N18.9", "Chronic kidney disease", "慢性腎臓病", &[KIDNEY]),
    of(443_597, "433144002", "N18.3", "Chronic kidney disease stage 3", "慢性腎臓病ステージG3", &[46_271_022]),
    of(443_612, "431857002", "N18.4", "Chronic kidney disease stage 4", "慢性腎臓病ステージG4", &[46_271_022]),
    of(443_611, "433146000", "N18.5", "Chronic kidney disease stage 5", "慢性腎臓病ステージG5", &[46_271_022]),
    of(81_902, "68566005", "N39.0", "Urinary tract infectious disease", "尿路感染症", &[URINARY, INFECTION]),
    of(198_803, "266569009", "N40", "Benign prostatic hyperplasia", "前立腺肥大症", &[DISEASE]),
    // Lungs and airways
    of(317_009, "195967001", "J45.9", "Asthma", "気管支喘息", &[LUNG]),
    of(255_573, "13645005", "J44.9", "Chronic obstructive lung disease", "慢性閉塞性肺疾患", &[LUNG]),
    of(255_848, "233604007", "J18.9", "Pneumonia", "肺炎", &[LUNG]),
    of(4_266_367, "6142004", "J11.1", "Influenza", "インフルエンザ", &[LUNG, INFECTION]),
    of(260_139, "10509002", "J20.9", "Acute bronchitis", "急性気管支炎", &[LUNG]),
    of(260_427, "82272006", "J00", "Common cold", "感冒", &[LUNG, INFECTION]),
    of(25_297, "363746003", "J02.9", "Acute pharyngitis", "急性咽頭炎", &[LUNG]),
    of(257_007, "61582004", "J30.4", "Allergic rhinitis", "アレルギー性鼻炎", &[LUNG]),
    of(256_439, "21719001", "J30.1", "Allergic rhinitis caused by pollen", "花粉症", &[257_007]),
    of(37_311_061, "840539006", "U07.1", "COVID-19", "新型コロナウイルス感染症", &[LUNG, INFECTION]),
    // Digestive
    of(318_800, "235595009", "K21.9", "Gastroesophageal reflux disease", "胃食道逆流症", &[GUT]),
    of(4_027_663, "13200003", "K27.9", "Peptic ulcer", "消化性潰瘍", &[GUT]),
    of(4_265_600, "397825006", "K25.9", "Gastric ulcer", "胃潰瘍", &[4_027_663]),
    of(4_064_161, "19943007", "K74.6", "Cirrhosis of liver", "肝硬変", &[GUT]),
    of(4_059_290, "197321007", "K76.0", "Steatosis of liver", "脂肪肝", &[GUT]),
    of(198_964, "128302006", "B18.2", "Chronic hepatitis C", "C型慢性肝炎", &[GUT, INFECTION]),
    of(196_523, "62315008", "K59.1", "Diarrhea", "下痢症", &[FINDING]),
    of(75_860, "14760008", "K59.0", "Constipation", "便秘症", &[FINDING]),
    of(75_576, "10743008", "K58.9", "Irritable bowel syndrome", "過敏性腸症候群", &[GUT]),
    of(81_893, "64766004", "K51.9", "Ulcerative colitis", "潰瘍性大腸炎", &[GUT]),
    of(201_606, "34000006", "K50.9", "Crohn's disease", "クローン病", &[GUT]),
    // Mind and nerves
    of(440_383, "35489007", "F32.9", "Depressive disorder", "うつ病", &[MIND]),
    of(441_542, "48694002", "F41.9", "Anxiety", "不安症", &[FINDING]),
    of(435_783, "58214004", "F20.9", "Schizophrenia", "統合失調症", &[MIND]),
    of(436_665, "13746004", "F31.9", "Bipolar disorder", "双極性障害", &[MIND]),
    of(436_962, "193462001", "G47.0", "Insomnia", "不眠症", &[NERVE]),
    of(4_182_210, "52448006", "F03", "Dementia", "認知症", &[NERVE, MIND]),
    of(378_419, "26929004", "G30.9", "Alzheimer's disease", "アルツハイマー病", &[4_182_210]),
    of(381_270, "49049000", "G20", "Parkinson's disease", "パーキンソン病", &[NERVE]),
    of(380_378, "84757009", "G40.9", "Epilepsy", "てんかん", &[NERVE]),
    of(318_736, "37796009", "G43.9", "Migraine", "片頭痛", &[NERVE]),
    // Blood
    of(439_777, "271737000", "D64.9", "Anemia", "貧血", &[DISEASE]),
    of(436_659, "87522002", "D50.9", "Iron deficiency anemia", "鉄欠乏性貧血", &[439_777]),
    // Bones and joints
    of(80_180, "396275006", "M19.9", "Osteoarthritis", "変形性関節症", &[BONE]),
    of(4_079_750, "239873007", "M17.9", "Osteoarthritis of knee", "変形性膝関節症", &[80_180]),
    of(80_809, "69896004", "M06.9", "Rheumatoid arthritis", "関節リウマチ", &[BONE]),
    of(80_502, "64859006", "M81.9", "Osteoporosis", "骨粗鬆症", &[BONE]),
    of(194_133, "279039007", "M54.5", "Low back pain", "腰痛症", &[FINDING]),
    of(4_230_399, "359817006", "S72.0", "Closed fracture of hip", "大腿骨近位部骨折", &[BONE]),
    // Skin, eyes, ears
    of(133_834, "24079001", "L20.9", "Atopic dermatitis", "アトピー性皮膚炎", &[SKIN]),
    of(140_168, "9014002", "L40.9", "Psoriasis", "乾癬", &[SKIN]),
    of(139_900, "126485001", "L50.9", "Urticaria", "じんま疹", &[SKIN]),
    of(443_943, "4740000", "B02.9", "Herpes zoster", "帯状疱疹", &[INFECTION]),
    of(375_545, "193570009", "H26.9", "Cataract", "白内障", &[DISEASE]),
    of(437_541, "23986001", "H40.9", "Glaucoma", "緑内障", &[DISEASE]),
    of(379_019, "9826008", "H10.9", "Conjunctivitis", "結膜炎", &[DISEASE]),
    of(372_328, "65363002", "H66.9", "Otitis media", "中耳炎", &[DISEASE]),
    // Cancers
    of(443_387, "363349007", "C16.9", "Malignant tumor of stomach", "胃癌", &[CANCER, GUT]),
    of(4_180_790, "363406005", "C18.9", "Malignant tumor of colon", "結腸癌", &[CANCER, GUT]),
    of(443_388, "363358000", "C34.9", "Malignant tumor of lung", "肺癌", &[CANCER, LUNG]),
    of(4_112_853, "254837009", "C50.9", "Malignant tumor of breast", "乳癌", &[CANCER]),
    of(4_163_261, "399068003", "C61", "Malignant tumor of prostate", "前立腺癌", &[CANCER]),
    of(4_180_793, "363418001", "C25.9", "Malignant tumor of pancreas", "膵癌", &[CANCER, GUT]),
    // Symptoms and severe infections
    of(132_797, "91302008", "A41.9", "Sepsis", "敗血症", &[INFECTION]),
    of(437_663, "386661006", "R50.9", "Fever", "発熱", &[FINDING]),
    of(254_761, "49727002", "R05", "Cough", "咳嗽", &[FINDING]),
    of(200_219, "21522001", "R10.4", "Abdominal pain", "腹痛", &[FINDING]),
    of(378_253, "25064002", "R51", "Headache", "頭痛", &[FINDING]),
    of(312_437, "267036007", "R06.0", "Dyspnea", "呼吸困難", &[FINDING]),
];
