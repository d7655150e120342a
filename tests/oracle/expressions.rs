//! Which expressions do random questions use?

use super::asides::Aside;
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// The type of a generated expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    Int,
    Float,
    Text,
    Date,
    Stamp,
    Bool,
}

/// A column that an expression may name.
#[derive(Debug, Clone)]
pub struct Col {
    /// As it is written: `t1.cost`.
    pub sql: String,
    /// Its own name.
    pub name: String,
    pub ty: Ty,
    pub owner: bool,
    /// The owner key or NULL.
    pub half: bool,
    /// A row id or link.
    pub key: bool,
    /// The analyser is expected to know two ends of it.
    pub bounded: bool,
    /// It has a public list of values.
    pub listed: bool,
}

/// The state of one question's making.
pub struct Gen {
    pub rng: ChaCha8Rng,
    /// Anything that parses; otherwise only what plain SQL answers without failing and with the same meaning.
    pub wild: bool,
    pub labels: Vec<&'static str>,
    pub ctes: Vec<String>,
    pub asides: Vec<Aside>,
    pub fresh: usize,
}

const FLOATS: [&str; 9] =
    ["0.0", "0.5", "1e308", "-1e308", "1e-320", "CAST('NaN' AS DOUBLE)", "CAST('-Infinity' AS DOUBLE)", "-0.0", "1e19"];
const INTS: [&str; 13] = [
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "(-9223372036854775807 - 1)",
    "4611686018427387904",
    "9007199254740993",
    "2147483648",
    "-3",
    "CAST('-9223372036854775808' AS BIGINT)",
    "CAST('9223372036854775807' AS BIGINT)",
    "980000000000000",
    "2000000000",
];

/// The least integer, which some literals cannot say.
pub const LEAST: &str = "CAST('-9223372036854775808' AS BIGINT)";
/// So many days later is within, at the end of, or outside the calendar.
pub const FAR_DAYS: [&str; 5] = ["2000000000", "95000001", "80000000", "2147483647", "200001"];

impl Gen {
    pub fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_range(0..n) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.choose(&mut self.rng).unwrap()
    }

    pub fn name(&mut self, stem: &str) -> String {
        self.fresh += 1;
        format!("{stem}{}", self.fresh)
    }

    pub fn label(&mut self, label: &'static str) {
        self.labels.push(label);
    }

    fn column(&mut self, cols: &[Col], ty: Ty) -> Option<String> {
        let of_type: Vec<&Col> = cols.iter().filter(|c| c.ty == ty && !c.owner && !c.key).collect();
        of_type.choose(&mut self.rng).map(|c| c.sql.clone())
    }

    /// Any expression of `ty`, at most `depth` deep.
    pub fn expr(&mut self, cols: &[Col], ty: Ty, depth: u32) -> String {
        if depth == 0 || self.one_in(3) {
            return self.leaf(cols, ty);
        }
        match (self.rng.random_range(0..11), ty) {
            (9 | 10, _) => self.call(cols, ty, depth - 1),
            (0, _) => {
                self.label("case");
                let (when, then, other) =
                    (self.boolean(cols, depth - 1), self.expr(cols, ty, depth - 1), self.expr(cols, ty, depth - 1));
                match self.rng.random_range(0..4) {
                    0 => format!("CASE WHEN {when} THEN {then} END"),
                    1 => format!("CASE WHEN {when} THEN {then} ELSE NULL END"),
                    2 => {
                        let (base, equal) = (self.expr(cols, Ty::Int, depth - 1), self.expr(cols, Ty::Int, 0));
                        format!("CASE {base} WHEN {equal} THEN {then} ELSE {other} END")
                    }
                    _ => format!("CASE WHEN {when} THEN {then} ELSE {other} END"),
                }
            }
            (1, _) => {
                self.label("fn:coalesce");
                format!("coalesce({}, {})", self.expr(cols, ty, depth - 1), self.expr(cols, ty, 0))
            }
            (2, Ty::Int | Ty::Float | Ty::Text | Ty::Date) => {
                self.label("fn:nullif");
                format!("nullif({}, {})", self.expr(cols, ty, depth - 1), self.leaf(cols, ty))
            }
            (3, _) => self.cast(cols, ty, depth),
            (_, Ty::Int | Ty::Float) => self.number(cols, ty, depth),
            (_, Ty::Text) => self.text(cols, depth),
            (_, Ty::Bool) => self.boolean(cols, depth),
            // What plain SQL makes of a date and a number is another thing.
            (_, Ty::Date) if self.wild && self.one_in(2) => {
                self.label("date and days");
                let date = self.leaf(cols, Ty::Date);
                let days = match self.one_in(3) {
                    true => (*self.pick(&FAR_DAYS)).to_owned(),
                    false => self.expr(cols, Ty::Int, depth - 1),
                };
                format!("({date} {} {days})", self.pick(&["+", "-"]))
            }
            (_, Ty::Date | Ty::Stamp) => self.leaf(cols, ty),
        }
    }

    fn leaf(&mut self, cols: &[Col], ty: Ty) -> String {
        if !self.one_in(5)
            && let Some(column) = self.column(cols, ty)
        {
            return column;
        }
        self.literal(ty)
    }

    pub fn literal(&mut self, ty: Ty) -> String {
        if self.wild && self.one_in(25) {
            self.label("null literal");
            return "NULL".into();
        }
        match ty {
            Ty::Int if self.wild && self.one_in(6) => (*self.pick(&INTS)).into(),
            Ty::Int => self.rng.random_range(0..7).to_string(),
            Ty::Float if self.wild && self.one_in(6) => (*self.pick(&FLOATS)).into(),
            Ty::Float => format!("{}.37", self.rng.random_range(-4..20)),
            Ty::Text => format!("'{}'", self.pick(&["a", "abc", "", "B", "1", "東京"])),
            Ty::Date => format!("DATE '200{}-0{}-15'", self.rng.random_range(0..4), self.rng.random_range(1..10)),
            Ty::Stamp => format!("TIMESTAMP '200{}-06-15 12:30:00'", self.rng.random_range(0..4)),
            Ty::Bool => (*self.pick(&["TRUE", "FALSE"])).into(),
        }
    }

    fn cast(&mut self, cols: &[Col], ty: Ty, depth: u32) -> String {
        self.label("cast");
        let (from, to): (Ty, &str) = match ty {
            Ty::Int if self.wild => (
                *self.pick(&[Ty::Float, Ty::Int, Ty::Text, Ty::Bool]),
                *self.pick(&["BIGINT", "INT", "SMALLINT", "TINYINT", "BIGINT UNSIGNED", "INT UNSIGNED"]),
            ),
            Ty::Int => (*self.pick(&[Ty::Int, Ty::Bool]), "BIGINT"),
            Ty::Float if self.wild => {
                (*self.pick(&[Ty::Float, Ty::Int, Ty::Text]), *self.pick(&["DOUBLE", "REAL", "DECIMAL(10,2)"]))
            }
            Ty::Float => (*self.pick(&[Ty::Float, Ty::Int]), "DOUBLE"),
            Ty::Text if self.wild => (*self.pick(&[Ty::Float, Ty::Int, Ty::Date, Ty::Stamp, Ty::Bool]), "VARCHAR"),
            Ty::Text => (Ty::Int, "VARCHAR"),
            Ty::Date if self.wild => (*self.pick(&[Ty::Int, Ty::Text, Ty::Stamp]), "DATE"),
            Ty::Date => (Ty::Stamp, "DATE"),
            Ty::Stamp if self.wild => {
                let to = ["TIMESTAMP", "TIMESTAMP", "TIMESTAMP(0)", "TIMESTAMP(3)", "TIMESTAMP(6)", "TIMESTAMP(9)"];
                (*self.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Float, Ty::Stamp]), *self.pick(&to))
            }
            Ty::Stamp => (Ty::Date, "TIMESTAMP"),
            Ty::Bool if self.wild => (*self.pick(&[Ty::Int, Ty::Text]), "BOOLEAN"),
            Ty::Bool => return self.boolean(cols, depth - 1),
        };
        // An INT cast of a DATE exists only through its days; keep to pairs that plan.
        let inner = self.expr(cols, from, depth - 1);
        let to = match (from, to) {
            (Ty::Int, "DATE") => "INT",
            (_, to) => to,
        };
        let cast = if self.wild && self.one_in(6) { "TRY_CAST" } else { "CAST" };
        match (ty, to) {
            (Ty::Date, "INT") => format!("CAST({cast}({inner} AS INT) AS DATE)"),
            _ => format!("{cast}({inner} AS {to})"),
        }
    }

    /// A number; where tame, divisors are literals and roots are of what is not negative.
    pub fn number(&mut self, cols: &[Col], ty: Ty, depth: u32) -> String {
        let below = depth - 1;
        let a = self.expr(cols, ty, below);
        match self.rng.random_range(0..if ty == Ty::Int { 15 } else { 17 }) {
            0..=2 => {
                self.label("arithmetic");
                let op = *self.pick(&["+", "-", "*"]);
                format!("({a} {op} {})", self.expr(cols, ty, below))
            }
            3 => {
                self.label("division");
                let op = *self.pick(&["/", "%"]);
                let divisor = match (self.wild, ty) {
                    (true, _) => self.expr(cols, ty, below),
                    (false, Ty::Int) => self.pick(&["2", "3", "7"]).to_string(),
                    (false, _) => self.pick(&["2.0", "0.5"]).to_string(),
                };
                format!("({a} {op} {divisor})")
            }
            4 => {
                self.label("negation");
                format!("(-{a})")
            }
            5 => {
                self.label("fn:abs");
                format!("abs({a})")
            }
            6 => {
                let call = *self.pick(&["greatest", "least"]);
                self.label(if call == "least" { "fn:least" } else { "fn:greatest" });
                format!("{call}({a}, {})", self.expr(cols, ty, below))
            }
            7 if ty == Ty::Int => {
                self.label("fn:character_length");
                format!("character_length({})", self.expr(cols, Ty::Text, below))
            }
            8 if ty == Ty::Int => {
                self.label("fn:strpos");
                format!("strpos({}, {})", self.expr(cols, Ty::Text, below), self.expr(cols, Ty::Text, 0))
            }
            9 if ty == Ty::Int => {
                self.label("fn:octet_length");
                format!("octet_length({})", self.expr(cols, Ty::Text, below))
            }
            10 | 11 if ty == Ty::Int => self.date_part(cols, below),
            12 if ty == Ty::Int => {
                self.label("date difference");
                format!("({} - {})", self.expr(cols, Ty::Date, below), self.leaf(cols, Ty::Date))
            }
            7 | 8 => {
                let call = *self.pick(&["ceil", "floor", "round", "trunc"]);
                self.label(match call {
                    "ceil" => "fn:ceil",
                    "floor" => "fn:floor",
                    "round" => "fn:round",
                    _ => "fn:trunc",
                });
                format!("{call}({a})")
            }
            9 => {
                let call = *self.pick(&["round", "trunc"]);
                self.label("fn:round to digits");
                let digits = match self.wild {
                    true => *self.pick(&["2", "0", "-1", "-2", "400", "2147483647", "-2147483648", "1"]),
                    false => *self.pick(&["1", "0", "-1"]),
                };
                format!("{call}({a}, {digits})")
            }
            10 | 11 => {
                let call = *self.pick(&["sqrt", "ln", "log10", "log2"]);
                self.label(match call {
                    "sqrt" => "fn:sqrt",
                    "ln" => "fn:ln",
                    "log10" => "fn:log10",
                    _ => "fn:log2",
                });
                if self.wild { format!("{call}({a})") } else { format!("{call}(abs({a}) + 1.0)") }
            }
            12 => {
                self.label("fn:exp");
                if self.wild { format!("exp({a})") } else { format!("exp(least({a}, 3.0))") }
            }
            _ => a,
        }
    }

    pub fn date_part(&mut self, cols: &[Col], depth: u32) -> String {
        self.label("fn:date_part");
        let unit = *self.pick(&["year", "quarter", "month", "week", "day", "doy", "dow", "hour", "minute", "second"]);
        let of = if self.one_in(2) { Ty::Date } else { Ty::Stamp };
        let source = self.expr(cols, of, depth);
        match self.one_in(2) {
            true => format!("date_part('{unit}', {source})"),
            false if matches!(unit, "doy" | "dow" | "week" | "quarter") => format!("date_part('{unit}', {source})"),
            false => format!("EXTRACT({unit} FROM {source})"),
        }
    }

    fn text(&mut self, cols: &[Col], depth: u32) -> String {
        let below = depth - 1;
        let a = self.expr(cols, Ty::Text, below);
        match self.rng.random_range(0..9) {
            0 | 1 => {
                let call = *self.pick(&["lower", "upper", "btrim", "ltrim", "rtrim", "reverse", "initcap"]);
                self.label(match call {
                    "lower" => "fn:lower",
                    "upper" => "fn:upper",
                    "btrim" => "fn:btrim",
                    "ltrim" => "fn:ltrim",
                    "rtrim" => "fn:rtrim",
                    "reverse" => "fn:reverse",
                    _ => "fn:initcap",
                });
                format!("{call}({a})")
            }
            2 => {
                self.label("fn:concat");
                format!("concat({a}, {})", self.expr(cols, Ty::Text, below))
            }
            3 => {
                self.label("||");
                format!("({a} || {})", self.expr(cols, Ty::Text, 0))
            }
            4 => {
                self.label("fn:substr");
                let from = match self.wild {
                    true => *self.pick(&["1", "0", "-3", "2", "9223372036854775807", LEAST]),
                    false => "1",
                };
                let long = if self.wild { *self.pick(&["2", "0", "9223372036854775807", "1"]) } else { "2" };
                if self.one_in(3) { format!("substr({a}, {from})") } else { format!("substr({a}, {from}, {long})") }
            }
            5 => {
                let call = *self.pick(&["left", "right"]);
                self.label(if call == "left" { "fn:left" } else { "fn:right" });
                let long = match self.wild {
                    true => *self.pick(&["1", "0", "-1", "9223372036854775807", LEAST]),
                    false => "1",
                };
                format!("{call}({a}, {long})")
            }
            _ => a,
        }
    }

    /// A condition.
    pub fn boolean(&mut self, cols: &[Col], depth: u32) -> String {
        if depth == 0 {
            return self.comparison(cols, 0);
        }
        let below = depth - 1;
        match self.rng.random_range(0..10) {
            0 => {
                self.label("and");
                format!("({} AND {})", self.boolean(cols, below), self.boolean(cols, below))
            }
            1 => {
                self.label("or");
                format!("({} OR {})", self.boolean(cols, below), self.boolean(cols, below))
            }
            2 => {
                self.label("not");
                format!("(NOT {})", self.boolean(cols, below))
            }
            3 => {
                self.label("is true/false/unknown");
                let test = *self.pick(&["TRUE", "FALSE", "NOT TRUE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"]);
                format!("({} IS {test})", self.boolean(cols, below))
            }
            4 if self.column(cols, Ty::Bool).is_some() => self.column(cols, Ty::Bool).unwrap(),
            _ => self.comparison(cols, below),
        }
    }

    fn comparison(&mut self, cols: &[Col], depth: u32) -> String {
        let ty = *self.pick(&[Ty::Int, Ty::Int, Ty::Float, Ty::Float, Ty::Text, Ty::Date, Ty::Stamp]);
        match self.rng.random_range(0..13) {
            0 => {
                self.label("in");
                let not = if self.one_in(3) { "NOT " } else { "" };
                let members: Vec<String> = (0..self.rng.random_range(1..4)).map(|_| self.literal(ty)).collect();
                format!("({} {not}IN ({}))", self.expr(cols, ty, depth), members.join(", "))
            }
            1 => {
                self.label("between");
                let not = if self.one_in(3) { "NOT " } else { "" };
                format!(
                    "({} {not}BETWEEN {} AND {})",
                    self.expr(cols, ty, depth),
                    self.literal(ty),
                    self.leaf(cols, ty)
                )
            }
            2 => {
                let like = *self.pick(&["LIKE", "NOT LIKE", "ILIKE"]);
                self.label("like");
                let pattern = match self.wild {
                    true => *self.pick(&["%a%", "_", "a\\", "%\\%%", "", "a_c", "(%", "%_%_%_%_%_%_%a"]),
                    false => *self.pick(&["%a%", "_", "a%", "a_c"]),
                };
                format!("({} {like} '{pattern}')", self.expr(cols, Ty::Text, depth))
            }
            3 => {
                let any: Vec<&Col> = cols.iter().collect();
                let not = if self.one_in(2) { "NOT " } else { "" };
                self.label("is null");
                match any.choose(&mut self.rng) {
                    Some(column) => format!("({} IS {not}NULL)", column.sql),
                    None => "TRUE".into(),
                }
            }
            4 => {
                self.label("is distinct from");
                let not = if self.one_in(2) { "NOT " } else { "" };
                format!("({} IS {not}DISTINCT FROM {})", self.expr(cols, ty, depth), self.leaf(cols, ty))
            }
            5 => {
                let call = *self.pick(&["starts_with", "ends_with", "contains"]);
                self.label(match call {
                    "starts_with" => "fn:starts_with",
                    "ends_with" => "fn:ends_with",
                    _ => "fn:contains",
                });
                format!("{call}({}, {})", self.expr(cols, Ty::Text, depth), self.literal(Ty::Text))
            }
            6 => {
                self.label("fn:date_trunc");
                let unit = *self.pick(&["year", "month", "week", "day", "hour"]);
                let stamp = self.expr(cols, Ty::Stamp, depth);
                format!("(date_trunc('{unit}', {stamp}) >= {})", self.literal(Ty::Stamp))
            }
            _ => {
                self.label("comparison");
                let op = *self.pick(&["=", "<>", "<", "<=", ">", ">="]);
                let (left, right) = (self.expr(cols, ty, depth), self.leaf(cols, ty));
                if self.one_in(5) { format!("({right} {op} {left})") } else { format!("({left} {op} {right})") }
            }
        }
    }

    /// A number whose two ends the analyser should know.
    pub fn bounded_number(&mut self, cols: &[Col]) -> String {
        let bounded: Vec<&Col> = cols.iter().filter(|c| c.bounded && matches!(c.ty, Ty::Int | Ty::Float)).collect();
        let column = bounded.choose(&mut self.rng).map(|c| (c.sql.clone(), c.ty));
        match (self.rng.random_range(0..10), column) {
            (0..=4, Some((column, _))) => column,
            (5, Some((column, _))) => {
                self.label("arithmetic");
                let op = *self.pick(&["+", "-", "*"]);
                format!("({column} {op} {})", self.rng.random_range(1..5))
            }
            (6, Some((column, ty))) => {
                self.label("case");
                let when = self.boolean(cols, 1);
                let other = *self.pick(&["0", "1", "NULL"]);
                let other = if ty == Ty::Float && other != "NULL" { format!("{other}.0") } else { other.to_owned() };
                format!("CASE WHEN {when} THEN {column} ELSE {other} END")
            }
            (7, _) => {
                self.label("case");
                format!("CASE WHEN {} THEN 1 ELSE 0 END", self.boolean(cols, 1))
            }
            (8, _) => self.date_part(cols, 1),
            _ => {
                self.label("clamp");
                let ty = if self.one_in(2) { Ty::Int } else { Ty::Float };
                let inner = self.expr(cols, ty, 2);
                let (lo, hi) = match self.wild {
                    true => *self.pick(&[("0", "10"), ("-3", "3"), ("2", "2"), ("-1000", "5000"), ("-1", "1")]),
                    false => ("-5000", "5000"),
                };
                let float = if ty == Ty::Float { ".0" } else { "" };
                match self.one_in(2) {
                    true => format!("least(greatest({inner}, {lo}{float}), {hi}{float})"),
                    false => format!("greatest(least({inner}, {hi}{float}), {lo}{float})"),
                }
            }
        }
    }
}
