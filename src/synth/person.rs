//! Who is in the population: how old, of which sex, living where, observed how long, and when do they die?
//!
//! Shares follow the published population estimates of Japan (October 2023, rounded): five-year ages by sex, the 47
//! prefectures, and yearly death rates by age and sex.

use chrono::{Datelike, NaiveDate};

use super::chance::Chance;

/// First day of the records, 2021-01-01, in days since 1970-01-01.
pub const FIRST_DAY: i32 = 18_628;
/// Last day of the records, 2024-12-31.
pub const LAST_DAY: i32 = 20_088;
/// Care sites in each prefecture: one university hospital, one general hospital, two clinics.
pub const CARE_SITES_EACH: i64 = 4;

const LAST_YEAR: i32 = 2024;

/// A person before anything happened.
#[derive(Debug, Clone)]
pub struct Person {
    /// Not dense, not ordered by anything.
    pub id: i64,
    pub woman: bool,
    pub born: NaiveDate,
    /// Birth in days since 1970-01-01.
    pub born_day: i32,
    /// 1..=47, the official order from Hokkaido to Okinawa.
    pub prefecture: i64,
    pub care_site: i64,
    /// First day of observation.
    pub first: i32,
    /// Last day of observation; the day of death of those who die in it.
    pub last: i32,
    pub dies: bool,
}

impl Person {
    /// Draw a person.
    #[must_use]
    pub fn draw(id: i64, chance: &mut Chance) -> Self {
        let band = chance.weighted(&AGES);
        let woman = chance.chance(WOMEN.get(band).copied().unwrap_or(0.5));
        let age = i32::try_from(band).unwrap_or(0).saturating_mul(5).saturating_add(age_in_band(band, chance));
        let born = birthday(LAST_YEAR.saturating_sub(age), chance);
        let born_day = days_since_1970(born);

        let prefecture = i64::try_from(chance.weighted(&PREFECTURE_WEIGHTS)).unwrap_or(0).saturating_add(1);
        // One in ten goes to the university hospital, three to the general hospital, the rest to a clinic.
        let site = i64::try_from(chance.weighted(&[1, 3, 3, 3])).unwrap_or(0);
        let care_site = prefecture.saturating_sub(1).saturating_mul(CARE_SITES_EACH).saturating_add(site + 1);

        let joins = if chance.chance(0.7) { FIRST_DAY } else { chance.day(FIRST_DAY, LAST_DAY - 60) };
        let leaves = if chance.chance(0.85) { LAST_DAY } else { chance.day(FIRST_DAY + 30, LAST_DAY) };
        let first = joins.max(born_day).min(LAST_DAY);
        let mut person =
            Self { id, woman, born, born_day, prefecture, care_site, first, last: leaves.max(first), dies: false };
        person.meet_fate(chance);
        person
    }

    /// Age in whole years on a day.
    #[must_use]
    pub fn age(&self, day: i32) -> i32 {
        // Days over 365.25, in integers, so that no rounding of a quotient can differ between machines.
        day.saturating_sub(self.born_day).max(0).saturating_mul(4) / 1461
    }

    fn meet_fate(&mut self, chance: &mut Chance) {
        let mut day = self.first;
        while day < self.last {
            let until = day.saturating_add(364).min(self.last);
            let span = f64::from(until - day + 1) / 365.25;
            if chance.chance(death_rate(self.age(day), self.woman) * span) {
                self.last = chance.day(day, until);
                self.dies = true;
                return;
            }
            day = until.saturating_add(1);
        }
    }
}

/// Days since 1970-01-01.
#[must_use]
pub fn days_since_1970(date: NaiveDate) -> i32 {
    date.num_days_from_ce().saturating_sub(719_163)
}

fn age_in_band(band: usize, chance: &mut Chance) -> i32 {
    // In the last bands most are at the young end.
    let weights: [u32; 5] = if band >= 17 { [30, 25, 20, 15, 10] } else { [1, 1, 1, 1, 1] };
    i32::try_from(chance.weighted(&weights)).unwrap_or(0)
}

fn birthday(year: i32, chance: &mut Chance) -> NaiveDate {
    let (month, day) = (chance.below(12).saturating_add(1), chance.below(31).saturating_add(1));
    NaiveDate::from_ymd_opt(year, month, day)
        .or_else(|| NaiveDate::from_ymd_opt(year, month, 28))
        .unwrap_or(NaiveDate::MIN)
}

fn death_rate(age: i32, woman: bool) -> f64 {
    let table = if woman { &DEATHS_WOMEN } else { &DEATHS_MEN };
    usize::try_from(age / 5).ok().and_then(|band| table.get(band)).copied().unwrap_or(0.5)
}

/// Persons by age of 0-4, 5-9, … 100-104, in thousands.
const AGES: [u32; 21] = [
    4_080, 4_830, 5_270, 5_490, 6_240, 6_480, 6_360, 6_980, 7_790, 9_180, 9_590, 8_240, 7_430, 7_300, 8_420, 7_690,
    5_760, 3_990, 2_020, 620, 90,
];

/// Share of women by age.
const WOMEN: [f64; 21] = [
    0.488, 0.488, 0.487, 0.487, 0.485, 0.486, 0.489, 0.492, 0.493, 0.494, 0.496, 0.500, 0.506, 0.515, 0.529, 0.552,
    0.584, 0.642, 0.722, 0.815, 0.878,
];

/// Deaths a year by age, men.
const DEATHS_MEN: [f64; 21] = [
    0.0006, 0.0001, 0.0001, 0.0003, 0.0005, 0.0005, 0.0006, 0.0008, 0.0012, 0.0019, 0.0031, 0.0050, 0.0081, 0.0135,
    0.0215, 0.0340, 0.0580, 0.1000, 0.1700, 0.2700, 0.4000,
];

/// Deaths a year by age, women.
const DEATHS_WOMEN: [f64; 21] = [
    0.0005, 0.0001, 0.0001, 0.0002, 0.0002, 0.0003, 0.0003, 0.0005, 0.0007, 0.0011, 0.0018, 0.0026, 0.0038, 0.0060,
    0.0098, 0.0165, 0.0310, 0.0600, 0.1150, 0.2000, 0.3300,
];

/// Persons by prefecture, in thousands, in the order of [`PREFECTURES`].
pub const PREFECTURE_WEIGHTS: [u32; 47] = [
    5_092, 1_184, 1_163, 2_264, 914, 1_026, 1_767, 2_825, 1_897, 1_902, 7_331, 6_257, 14_086, 9_229, 2_126, 1_007,
    1_109, 744, 796, 2_004, 1_931, 3_555, 7_477, 1_727, 1_407, 2_535, 8_763, 5_370, 1_296, 892, 537, 650, 1_847, 2_738,
    1_298, 695, 926, 1_291, 666, 5_103, 795, 1_267, 1_709, 1_096, 1_042, 1_549, 1_468,
];

/// The prefectures in English and Japanese, in the official order.
#[rustfmt::skip]
pub const PREFECTURES: [(&str, &str); 47] = [
    ("Hokkaido", "北海道"), ("Aomori", "青森県"), ("Iwate", "岩手県"), ("Miyagi", "宮城県"), ("Akita", "秋田県"),
    ("Yamagata", "山形県"), ("Fukushima", "福島県"), ("Ibaraki", "茨城県"), ("Tochigi", "栃木県"), ("Gunma", "群馬県"),
    ("Saitama", "埼玉県"), ("Chiba", "千葉県"), ("Tokyo", "東京都"), ("Kanagawa", "神奈川県"), ("Niigata", "新潟県"),
    ("Toyama", "富山県"), ("Ishikawa", "石川県"), ("Fukui", "福井県"), ("Yamanashi", "山梨県"), ("Nagano", "長野県"),
    ("Gifu", "岐阜県"), ("Shizuoka", "静岡県"), ("Aichi", "愛知県"), ("Mie", "三重県"), ("Shiga", "滋賀県"),
    ("Kyoto", "京都府"), ("Osaka", "大阪府"), ("Hyogo", "兵庫県"), ("Nara", "奈良県"), ("Wakayama", "和歌山県"),
    ("Tottori", "鳥取県"), ("Shimane", "島根県"), ("Okayama", "岡山県"), ("Hiroshima", "広島県"), ("Yamaguchi", "山口県"),
    ("Tokushima", "徳島県"), ("Kagawa", "香川県"), ("Ehime", "愛媛県"), ("Kochi", "高知県"), ("Fukuoka", "福岡県"),
    ("Saga", "佐賀県"), ("Nagasaki", "長崎県"), ("Kumamoto", "熊本県"), ("Oita", "大分県"), ("Miyazaki", "宮崎県"),
    ("Kagoshima", "鹿児島県"), ("Okinawa", "沖縄県"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_span_four_whole_years() {
        assert_eq!(days_since_1970(NaiveDate::from_ymd_opt(2021, 1, 1).unwrap()), FIRST_DAY);
        assert_eq!(days_since_1970(NaiveDate::from_ymd_opt(2024, 12, 31).unwrap()), LAST_DAY);
    }

    #[test]
    fn a_person_is_observed_from_birth_at_the_earliest_and_to_death_at_the_latest() {
        let mut chance = Chance::of_block(5, 0);
        let people: Vec<Person> = (0..20_000).map(|id| Person::draw(id, &mut chance)).collect();
        assert!(people.iter().all(|p| p.born_day <= p.first && p.first <= p.last && p.last <= LAST_DAY));
        assert!(people.iter().all(|p| (1..=47).contains(&p.prefecture) && p.born.year() >= 1900));
        let dead = people.iter().filter(|p| p.dies).count();
        assert!((400..1_400).contains(&dead), "{dead} of 20,000 die in up to four years");
        let old = people.iter().filter(|p| p.age(LAST_DAY) >= 65).count();
        assert!((5_200..6_600).contains(&old), "{old} of 20,000 are 65 or older");
    }
}
