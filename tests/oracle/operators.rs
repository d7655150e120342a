//! Which steps do random questions take beyond joins and aggregates: subqueries, windows, sets of rows?

use rand::{Rng, seq::IndexedRandom};

use super::{
    asides::Aside,
    database::{DATASET, VOCABULARY},
    expressions::{Col, Gen, Ty},
    grammar::Source,
};

impl Gen {
    /// A condition of a WHERE, in which subqueries may stand.
    pub fn condition(&mut self, cols: &[Col], depth: u32) -> String {
        let owner = cols.iter().find(|c| c.owner).map(|c| c.sql.clone());
        match (self.rng.random_range(0..8), owner) {
            (0, Some(owner)) => self.subquery_condition(cols, &owner),
            (1, Some(owner)) => {
                let (a, b) = (self.subquery_condition(cols, &owner), self.boolean(cols, depth));
                match self.rng.random_range(0..4) {
                    0 => format!("({a} OR {b})"),
                    1 => format!("({b} AND NOT {a})"),
                    2 => format!("CASE WHEN {a} THEN TRUE ELSE {b} END"),
                    _ => format!("({a} AND {b})"),
                }
            }
            (2, _) => self.public_condition(cols),
            _ => self.boolean(cols, depth),
        }
    }

    fn integer(&mut self, cols: &[Col]) -> String {
        let integers: Vec<&Col> = cols.iter().filter(|c| c.ty == Ty::Int && !c.owner && !c.key).collect();
        let column = integers.choose(&mut self.rng).map(|c| c.sql.clone());
        column.unwrap_or_else(|| "2".to_owned())
    }

    fn subquery_condition(&mut self, cols: &[Col], owner: &str) -> String {
        let (table, inner) = self.relation_with_owner(1);
        let mine = inner.iter().find(|c| c.owner).unwrap().sql.clone();
        let not = if self.one_in(3) { "NOT " } else { "" };
        let more = match self.one_in(2) {
            true => format!(" AND {}", self.boolean(&inner, 1)),
            false => String::new(),
        };
        match self.rng.random_range(0..8) {
            0 | 1 => {
                self.label("subquery: owner in");
                let wide = if self.wild && self.one_in(12) { " LIMIT 3" } else { "" };
                let distinct = if self.one_in(3) { "DISTINCT " } else { "" };
                format!("({owner} {not}IN (SELECT {distinct}{mine} FROM {table} WHERE TRUE{more}{wide}))")
            }
            2 if self.one_in(2) => {
                self.label("subquery: exists in groups");
                let (by, n) = (self.integer(&inner), self.rng.random_range(1..4));
                let keys = self.pick(&["{mine}", "{mine}, {by}", "{by}"]).replace("{mine}", &mine).replace("{by}", &by);
                format!(
                    "({not}EXISTS (SELECT 1 FROM {table} WHERE {mine} = {owner}{more} GROUP BY {keys} HAVING COUNT(*) >= {n}))"
                )
            }
            2 => {
                self.label("subquery: exists");
                format!("({not}EXISTS (SELECT 1 FROM {table} WHERE {mine} = {owner}{more}))")
            }
            3 | 4 => {
                self.label("subquery: exists by more");
                let both: Vec<Col> = cols.iter().chain(&inner).cloned().collect();
                let condition = match self.one_in(2) {
                    true => format!(
                        "{} {} {}",
                        self.integer(&inner),
                        self.pick(&["=", "<", ">=", "<>"]),
                        self.integer(cols)
                    ),
                    false => self.boolean(&both, 1),
                };
                format!("({not}EXISTS (SELECT * FROM {table} WHERE {owner} = {mine} AND {condition}{more}))")
            }
            5 => {
                self.label("subquery: value in");
                // Plain SQL's mark joins take a NULL on either side for a miss; see the story in `meaning.rs`.
                let known = |value: String, wild: bool| if wild { value } else { format!("coalesce({value}, 0)") };
                let (x, y) = (known(self.integer(cols), self.wild), known(self.integer(&inner), self.wild));
                format!("({x} {not}IN (SELECT {y} FROM {table} WHERE {mine} = {owner}{more}))")
            }
            _ => {
                let value = self.scalar_subquery(cols, owner);
                format!("({} {} {value})", self.integer(cols), self.pick(&["=", "<", ">=", ">"]))
            }
        }
    }

    /// An aggregate of the same person's rows.
    pub fn scalar_subquery(&mut self, cols: &[Col], owner: &str) -> String {
        self.label("subquery: scalar");
        let (table, inner) = self.relation_with_owner(1);
        let mine = inner.iter().find(|c| c.owner).unwrap().sql.clone();
        let value = self.integer(&inner);
        let call = match self.rng.random_range(0..4) {
            0 => "COUNT(*)".to_owned(),
            1 => format!("COUNT(DISTINCT {value})"),
            2 => format!("MIN({value})"),
            _ => format!("MAX({value}) + 1"),
        };
        if self.wild && self.one_in(5) {
            self.label("subquery: first row");
            let order = self.integer(&inner);
            return format!("(SELECT {value} FROM {table} WHERE {mine} = {owner} ORDER BY {order} DESC LIMIT 1)");
        }
        let more = match self.rng.random_range(0..7) {
            0 => format!(" AND {}", self.boolean(&inner, 1)),
            1 => format!(" AND {} = {}", self.integer(&inner), self.integer(cols)),
            2 | 3 => return self.scalar_by_more(cols, (&call, &table, &format!("{mine} = {owner}")), &inner),
            _ => String::new(),
        };
        format!("(SELECT {call} FROM {table} WHERE {mine} = {owner}{more})")
    }

    fn scalar_by_more(&mut self, cols: &[Col], parts: (&str, &str, &str), inner: &[Col]) -> String {
        let (call, table, equal) = parts;
        let condition = format!("{equal}{}", self.by_more(cols, inner));
        let asked = format!("(SELECT {call} FROM {table} WHERE {condition})");
        let with = match self.ctes.is_empty() {
            true => String::new(),
            false => format!("WITH {} ", self.ctes.join(", ")),
        };
        let name = self.name("aside");
        match Aside::new(&name, &with, &asked, (call, table, &condition), cols) {
            Some(aside) => {
                self.label("subquery: scalar by more");
                self.asides.push(aside);
                asked
            }
            None => format!("(SELECT {call} FROM {table} WHERE {equal})"),
        }
    }

    /// More conditions with the outer row than equalities.
    fn by_more(&mut self, cols: &[Col], inner: &[Col]) -> String {
        let (x, y) = match self.one_in(2) {
            true => (self.of_type(inner, Ty::Date), self.of_type(cols, Ty::Date)),
            false => (None, None),
        };
        let days = self.rng.random_range(1..400);
        match (x.zip(y), self.rng.random_range(0..4)) {
            (Some((x, y)), 0) => format!(" AND {x} BETWEEN {y} - INTERVAL '{days} days' AND {y}"),
            (Some((x, y)), _) => format!(" AND {x} {} {y}", self.pick(&["<", "<=", ">", "<>"])),
            (None, 0) => {
                let (x, y) = (self.integer(inner), self.integer(cols));
                format!(" AND {x} BETWEEN {y} - 2 AND {y} + {days}")
            }
            (None, 1) => {
                let both: Vec<Col> = cols.iter().chain(inner).cloned().collect();
                let (x, y) = (self.integer(inner), self.integer(cols));
                format!(" AND {x} >= {y} AND {}", self.boolean(&both, 1))
            }
            (None, _) => {
                let (x, y) = (self.integer(inner), self.integer(cols));
                format!(" AND {x} {} {y}", self.pick(&["<", "<=", ">", "<>", "IS DISTINCT FROM"]))
            }
        }
    }

    fn of_type(&mut self, cols: &[Col], ty: Ty) -> Option<String> {
        let of: Vec<&Col> = cols.iter().filter(|c| c.ty == ty && !c.owner && !c.key).collect();
        of.choose(&mut self.rng).map(|c| c.sql.clone())
    }

    /// Membership in a public set.
    fn public_condition(&mut self, cols: &[Col]) -> String {
        let x = self.integer(cols);
        let not = if self.one_in(3) { "NOT " } else { "" };
        let tables = if self.wild { &["concept", "alias", "alias"] } else { &["concept", "concept", "concept"] };
        let (name, table) = (self.name("p"), *self.pick(tables));
        let x = if self.wild { x } else { format!("coalesce({x}, 0)") };
        match self.rng.random_range(0..8) {
            6 => {
                self.label("stages: released scalar");
                let unit = *self.pick(&["visit", "lab", "rare"]);
                format!("({x} {} (SELECT COUNT(*) / 9 FROM {DATASET}.{unit}))", self.pick(&["<", ">="]))
            }
            7 => {
                self.label("stages: released set");
                let n = self.rng.random_range(0..30);
                let counted = format!("SELECT kind, COUNT(*) AS n FROM {DATASET}.visit GROUP BY kind");
                format!("({x} {not}IN (SELECT kind FROM ({counted}) AS {name} WHERE n > {n}))")
            }
            0 => {
                self.label("subquery: public scalar");
                format!("({x} > (SELECT MIN(concept_id) FROM {VOCABULARY}.{table}))")
            }
            1 => {
                self.label("subquery: public exists");
                let more = match self.one_in(2) {
                    true => format!(" AND {name}.concept_id < {}", self.integer(cols)),
                    false => String::new(),
                };
                format!(
                    "({not}EXISTS (SELECT 1 FROM {VOCABULARY}.{table} AS {name} WHERE {name}.concept_id = {x}{more}))"
                )
            }
            _ => {
                self.label("subquery: public in");
                let more = *self.pick(&["", " WHERE concept_id > 2", " WHERE concept_id IS NOT NULL", " WHERE FALSE"]);
                format!("({x} {not}IN (SELECT concept_id FROM {VOCABULARY}.{table}{more}))")
            }
        }
    }

    /// A window partitioned by the owner: its text, type and whether two ends of it are known.
    pub fn window(&mut self, cols: &[Col], owner: &str) -> (String, Ty, bool) {
        let others: Vec<Col> = cols.iter().filter(|c| !c.owner).cloned().collect();
        let plain: Vec<Col> = others.iter().filter(|c| !c.key && !c.half).cloned().collect();
        let mut partition = owner.to_owned();
        if self.one_in(4) && !plain.is_empty() {
            partition += &format!(", {}", self.pick(&plain).sql.clone());
        }
        if self.wild && self.one_in(25) {
            self.label("refused window");
            partition = "1".into();
        }
        if self.wild && self.one_in(10) {
            return self.window_of_all(&plain);
        }
        // What plain SQL says is settled only where the order tells all rows apart.
        let mut order: Vec<String> = vec![];
        if let Some(first) = plain.choose(&mut self.rng) {
            let first = first.sql.clone();
            order.push(format!("{first} {}", self.pick(&["ASC", "DESC"])));
        }
        let peers = order.join(", ");
        if !self.wild {
            order.extend(others.iter().map(|c| c.sql.clone()));
        }
        let clause = |by: &str| if by.is_empty() { String::new() } else { format!(" ORDER BY {by}") };
        let total = format!("OVER (PARTITION BY {partition}{}", clause(&order.join(", ")));
        let equal = format!("OVER (PARTITION BY {partition}{}", clause(&peers));
        let rows = *self.pick(&[
            " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        ]);
        // An offset that no count of rows can follow is refused.
        let rows = match self.wild && self.one_in(12) {
            true => {
                self.label("frame: far offsets");
                *self.pick(&[
                    " ROWS BETWEEN 18446744073709551615 FOLLOWING AND UNBOUNDED FOLLOWING",
                    " ROWS BETWEEN 18446744073709551614 FOLLOWING AND 18446744073709551615 FOLLOWING",
                    " ROWS BETWEEN 18446744073709551615 PRECEDING AND CURRENT ROW",
                    " ROWS BETWEEN 65536 PRECEDING AND 65536 FOLLOWING",
                    " ROWS BETWEEN 65535 FOLLOWING AND 65536 FOLLOWING",
                    " GROUPS BETWEEN 18446744073709551615 PRECEDING AND 3 FOLLOWING",
                    " GROUPS BETWEEN 1 PRECEDING AND 65536 FOLLOWING",
                ])
            }
            false => rows,
        };
        let rows = if order.is_empty() { "" } else { rows };
        if self.one_in(5)
            && let Some(window) = self.window_of_days(&plain, &partition)
        {
            return window;
        }
        let value = self.pick_value(&plain);
        match self.rng.random_range(0..9) {
            0 | 1 => {
                self.label("window: row_number");
                (format!("CAST(row_number() {total}) AS BIGINT)"), Ty::Int, true)
            }
            2 => {
                self.label("window: rank");
                let call = *self.pick(&["rank()", "dense_rank()"]);
                (format!("CAST({call} {equal}) AS BIGINT)"), Ty::Int, true)
            }
            3 => {
                self.label("window: ntile");
                (format!("CAST(ntile({}) {total}) AS BIGINT)", self.rng.random_range(1..5)), Ty::Int, true)
            }
            4 | 5 => {
                let call = *self.pick(&["lag", "lead"]);
                self.label("window: lag/lead");
                let shift = match self.wild && self.one_in(4) {
                    true => *self.pick(&[", 1000000", ", -1000000", ", 9223372036854775807", ", 0"]),
                    false => *self.pick(&["", ", 1", ", 2", ", 1, NULL"]),
                };
                (format!("{call}({}{shift}) {total})", value.0), value.1, false)
            }
            6 => {
                self.label("window: first/last");
                let call = *self.pick(&["first_value", "last_value"]);
                let rows = if self.wild && self.one_in(3) { "" } else { rows };
                (format!("{call}({}) {total}{rows})", value.0), value.1, false)
            }
            7 => {
                self.label("window: count");
                match self.one_in(2) {
                    true => (format!("COUNT(*) {equal})"), Ty::Int, true),
                    false => (format!("COUNT({}) {total}{rows})", value.0), Ty::Int, true),
                }
            }
            _ => {
                let number = self.bounded_number(&plain);
                let call = *self.pick(&["SUM", "AVG", "MIN", "MAX"]);
                self.label(match call {
                    "SUM" => "per person: sum",
                    "AVG" => "per person: avg",
                    _ => "window: min/max",
                });
                self.label("window: aggregate");
                match self.one_in(2) {
                    true => (format!("{call}({number}) {equal})"), Ty::Float, true),
                    false => (format!("{call}({number}) {total}{rows})"), Ty::Float, true),
                }
            }
        }
    }

    /// What an aggregate says of all persons' rows, or a part of them that a row lies in.
    fn window_of_all(&mut self, plain: &[Col]) -> (String, Ty, bool) {
        self.label("window: of all persons");
        let number = self.bounded_number(plain);
        let by = match plain.choose(&mut self.rng) {
            Some(column) if self.rng.random_range(0..2) == 0 => format!("PARTITION BY {}", column.sql),
            _ => String::new(),
        };
        match self.rng.random_range(0..5) {
            0 => (format!("COUNT(*) OVER ({by})"), Ty::Int, false),
            1 => (format!("AVG({number}) OVER ({by})"), Ty::Float, false),
            2 => (format!("MAX({number}) OVER ({by})"), Ty::Float, false),
            3 => (format!("CAST(ntile(4) OVER (ORDER BY {number}) AS BIGINT)"), Ty::Int, true),
            _ => (format!("SUM({number}) OVER ({by})"), Ty::Float, false),
        }
    }

    /// An aggregate over the rows within some days of each row's date.
    fn window_of_days(&mut self, plain: &[Col], partition: &str) -> Option<(String, Ty, bool)> {
        let dates: Vec<&Col> = plain.iter().filter(|c| ["start", "day", "joined"].contains(&c.name.as_str())).collect();
        let date = dates.choose(&mut self.rng)?.sql.clone();
        self.label("window: days around");
        let before = *self.pick(&["INTERVAL '30' DAY PRECEDING", "INTERVAL '1' MONTH PRECEDING", "CURRENT ROW"]);
        let after = *self.pick(&["CURRENT ROW", "INTERVAL '7' DAY FOLLOWING", "UNBOUNDED FOLLOWING"]);
        let over = format!("OVER (PARTITION BY {partition} ORDER BY {date} RANGE BETWEEN {before} AND {after})");
        match self.rng.random_range(0..4) {
            0 | 1 => Some((format!("COUNT(*) {over}"), Ty::Int, true)),
            2 => Some((format!("MAX({}) {over}", self.bounded_number(plain)), Ty::Float, true)),
            _ => {
                self.label("per person: sum");
                Some((format!("SUM({}) {over}", self.bounded_number(plain)), Ty::Float, true))
            }
        }
    }

    fn pick_value(&mut self, plain: &[Col]) -> (String, Ty) {
        plain.choose(&mut self.rng).map_or(("1".to_owned(), Ty::Int), |c| (c.sql.clone(), c.ty))
    }

    /// Two steps of persons under one name.
    pub fn union(&mut self, depth: u32) -> (String, Vec<Col>) {
        let alias = self.name("u");
        let (left, left_cols) = self.relation_with_owner(depth - 1);
        let (right, right_cols) = self.relation_with_owner(depth - 1);
        let owner = |cols: &[Col]| cols.iter().find(|c| c.owner).unwrap().sql.clone();
        let (a, b) = (owner(&left_cols), owner(&right_cols));
        if self.one_in(4) {
            let kind = *self.pick(&["INTERSECT", "EXCEPT", "UNION"]);
            self.label("sets of owners");
            let select = format!("SELECT {a} AS person_id FROM {left} {kind} SELECT {b} FROM {right}");
            let name = Col { sql: format!("{alias}.person_id"), name: "person_id".into(), ..owner_col() };
            return (format!("({select}) AS {alias}"), vec![name]);
        }
        let (mut ours, mut theirs, mut cols) = (vec![], vec![], vec![]);
        let hidden = self.one_in(4);
        if !hidden {
            ours.push(format!("{a} AS person_id"));
            theirs.push(b);
            cols.push(Col { sql: format!("{alias}.person_id"), name: "person_id".into(), ..owner_col() });
        }
        for _ in 0..self.rng.random_range(1..4) {
            let (ty, name) = (*self.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Float, Ty::Bool]), self.name("c"));
            ours.push(format!("{} AS {name}", self.expr(&left_cols, ty, 1)));
            theirs.push(self.expr(&right_cols, ty, 1));
            cols.push(Col { sql: format!("{alias}.{name}"), name, ty, owner: false, ..owner_col() });
        }
        let all = match hidden || self.one_in(2) {
            true => {
                self.label("union all");
                "UNION ALL"
            }
            false => {
                self.label("union");
                "UNION"
            }
        };
        let select = format!("SELECT {} FROM {left} {all} SELECT {} FROM {right}", ours.join(", "), theirs.join(", "));
        (format!("({select}) AS {alias}"), cols)
    }

    /// LEFT, RIGHT or FULL: the key of the side that may be missing is owner-or-NULL.
    pub fn outer_join(&mut self, left: (String, Vec<Col>), right: (String, Vec<Col>), equal: &str) -> Source {
        let kind = *self.pick(&["LEFT", "LEFT", "RIGHT", "FULL"]);
        self.label(match kind {
            "LEFT" => "join persons: left",
            "RIGHT" => "join persons: right",
            _ => "join persons: full",
        });
        let both: Vec<Col> = left.1.iter().chain(&right.1).cloned().collect();
        let more = match self.one_in(3) {
            true => format!(" AND {}", self.boolean(&both, 1)),
            false => String::new(),
        };
        let missing = |cols: &[Col]| {
            let halves =
                cols.iter().cloned().map(|c| Col { half: c.half || c.owner, key: c.key || c.owner, owner: false, ..c });
            halves.collect::<Vec<_>>()
        };
        let owner = |cols: &[Col]| cols.iter().find(|c| c.owner).unwrap().clone();
        let (a, b) = (owner(&left.1), owner(&right.1));
        let cols: Vec<Col> = match kind {
            "LEFT" => left.1.iter().cloned().chain(missing(&right.1)).collect(),
            "RIGHT" => missing(&left.1).into_iter().chain(right.1.iter().cloned()).collect(),
            _ => {
                let either = Col { sql: format!("COALESCE({}, {})", a.sql, b.sql), ..a };
                std::iter::once(either).chain(missing(&left.1)).chain(missing(&right.1)).collect()
            }
        };
        Source { from: format!("{} {kind} JOIN {} ON {equal}{more}", left.0, right.0), condition: None, cols }
    }

    /// HAVING, ORDER BY, LIMIT and arithmetic over a release.
    pub fn after(&mut self, select: &str, keys: usize, aggregates: usize) -> String {
        let key_names: Vec<String> = (0..keys).map(|i| format!("k{i}")).collect();
        let names: Vec<String> = key_names.iter().cloned().chain((0..aggregates).map(|i| format!("a{i}"))).collect();
        let order = |g: &mut Self| {
            let mut all = names.clone();
            if g.one_in(2) {
                all.reverse();
            }
            all.iter()
                .map(|n| format!("{n} {}", g.pick(&["ASC", "DESC", "DESC NULLS LAST"])))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self.rng.random_range(0..5) {
            4 => self.beside(select, &names),
            0 => {
                self.label("order by");
                let sorted = format!("{select} ORDER BY {}", order(self));
                match self.one_in(2) {
                    true => {
                        self.label("limit");
                        format!("{sorted} LIMIT {}", self.rng.random_range(0..6))
                    }
                    false => sorted,
                }
            }
            1 if keys > 0 => {
                self.label("having");
                format!("{select} HAVING COUNT(*) > {}", self.rng.random_range(0..4))
            }
            2 => {
                self.label("arithmetic over a release");
                let a = self.pick(&names[keys..]).clone();
                let extra = match self.rng.random_range(0..3) {
                    0 => format!("{a} * 2 AS double"),
                    1 => format!("CASE WHEN {a} > 3 THEN 'many' ELSE 'few' END AS size"),
                    _ => format!("{a} / 4 AS quarter"),
                };
                format!("SELECT {}, {extra} FROM ({select}) AS released", names.join(", "))
            }
            _ => {
                self.label("filter over a release");
                let a = self.pick(&names[keys..]).clone();
                let shown = names.join(", ");
                format!("SELECT {shown} FROM ({select}) AS released WHERE {a} >= 1 ORDER BY {}", order(self))
            }
        }
    }

    /// A second release beside the first.
    pub fn beside(&mut self, select: &str, names: &[String]) -> String {
        let table = *self.pick(&["person", "visit", "lab"]);
        let other = format!("SELECT COUNT(*) AS n FROM {DATASET}.{table}");
        match self.rng.random_range(0..3) {
            0 => {
                self.label("two releases: scalar subquery");
                format!("SELECT {}, ({other}) AS whole FROM ({select}) AS released", names.join(", "))
            }
            1 => {
                self.label("two releases: cross join");
                format!(
                    "SELECT {}, beside.n FROM ({select}) AS released CROSS JOIN ({other}) AS beside",
                    names.join(", ")
                )
            }
            _ => {
                self.label("two releases: union all");
                let names = names.join(", ");
                format!("SELECT {names} FROM ({select}) AS one UNION ALL SELECT {names} FROM ({select}) AS two")
            }
        }
    }
}

fn owner_col() -> Col {
    Col {
        sql: String::new(),
        name: String::new(),
        ty: Ty::Int,
        owner: true,
        half: false,
        key: false,
        bounded: false,
        listed: false,
    }
}
