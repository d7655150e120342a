//! Which random questions are asked?

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use sekisho::{
    catalog::{ColumnClass, ColumnType},
    privacy::Asked,
};

use super::{
    asides::Aside,
    database::{DATASET, VOCABULARY, model, public_tables},
    expressions::{Col, Gen, Ty},
};

/// One random question.
#[derive(Debug, Clone)]
pub struct Question {
    /// As it is asked.
    pub sql: String,
    /// Its release alone: keys first, then aggregates.
    pub core: String,
    /// How many columns of the core are keys.
    pub keys: usize,
    /// What the grammar used.
    pub labels: Vec<&'static str>,
    /// What plain SQL is asked in other words.
    pub asides: Vec<Aside>,
    /// What the analyst sets.
    pub asked: Asked,
}

/// What stands in a FROM clause.
pub struct Source {
    pub from: String,
    pub condition: Option<String>,
    pub cols: Vec<Col>,
}

impl Question {
    pub fn random(seed: u64, wild: bool) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut generator = Gen { rng, wild, labels: vec![], ctes: vec![], asides: vec![], fresh: 0 };
        generator.question()
    }
}

impl Gen {
    fn question(&mut self) -> Question {
        let depth = *self.pick(&[0, 1, 1, 2, 2, 3]);
        let (select, keys, aggregates) = self.release(depth);
        let with = match self.ctes.is_empty() {
            true => String::new(),
            false => format!("WITH {} ", self.ctes.join(", ")),
        };
        let core = format!("{with}{select}");
        let sql = match self.rng.random_range(0..3) {
            0 => core.clone(),
            _ => format!("{with}{}", self.after(&select, keys, aggregates)),
        };
        let asked = match self.wild {
            true => Asked {
                rows_per_group: *self.pick(&[None, None, Some(1), Some(2), Some(7), Some(100), Some(u32::MAX)]),
                groups: *self.pick(&[None, None, Some(1), Some(2), Some(3), Some(50), Some(u32::MAX)]),
                distinct_values: *self.pick(&[None, None, Some(1), Some(2), Some(100), Some(u32::MAX)]),
                ..Asked::default()
            },
            false => Asked {
                rows_per_group: Some(u32::MAX),
                groups: Some(u32::MAX),
                distinct_values: Some(u32::MAX),
                intervals: self.one_in(4),
                non_negative: self.one_in(4),
            },
        };
        let asides = std::mem::take(&mut self.asides);
        Question { sql, core, keys, labels: std::mem::take(&mut self.labels), asides, asked }
    }

    /// `SELECT keys AS k0.., aggregates AS a0.. FROM ... GROUP BY keys`.
    fn release(&mut self, depth: u32) -> (String, usize, usize) {
        match self.rng.random_range(0..24) {
            0 if depth > 0 => return self.beside_a_list(depth),
            1 if depth > 0 => return self.of_distinct(depth),
            _ => {}
        }
        let source = self.source(depth);
        let cols = source.cols;
        let keys: Vec<String> = match self.rng.random_range(0..10) {
            0 | 1 => vec![],
            2..=7 => vec![self.group_key(&cols)],
            _ => {
                let mut both = vec![self.group_key(&cols), self.group_key(&cols)];
                both.dedup();
                both
            }
        };
        self.label(match keys.len() {
            0 => "release: no key",
            1 => "release: one key",
            _ => "release: two keys",
        });
        let count = self.rng.random_range(1..4);
        let aggregates: Vec<String> = (0..count).map(|_| self.aggregate(&cols)).collect();
        let mut items: Vec<String> = keys.iter().enumerate().map(|(i, k)| format!("{k} AS k{i}")).collect();
        items.extend(aggregates.iter().enumerate().map(|(i, a)| format!("{a} AS a{i}")));
        let mut select = format!("SELECT {} FROM {}", items.join(", "), source.from);
        let mut conditions: Vec<String> = source.condition.into_iter().collect();
        if self.one_in(2) {
            conditions.push(self.condition(&cols, 2));
        }
        if !conditions.is_empty() {
            self.label("where");
            select += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if !keys.is_empty() && self.one_in(10) {
            self.label("release: grouping sets");
            let all = keys.join(", ");
            select += &match self.rng.random_range(0..3) {
                0 => format!(" GROUP BY ROLLUP ({all})"),
                1 => format!(" GROUP BY CUBE ({all})"),
                _ => format!(" GROUP BY GROUPING SETS (({all}), ())"),
            };
        } else if !keys.is_empty() {
            select += &match self.one_in(2) {
                true => format!(" GROUP BY {}", keys.join(", ")),
                false => {
                    format!(" GROUP BY {}", (1..=keys.len()).map(|i| i.to_string()).collect::<Vec<_>>().join(", "))
                }
            };
        }
        (select, keys.len(), aggregates.len())
    }

    fn group_key(&mut self, cols: &[Col]) -> String {
        // Floats are keys only where nothing is compared with plain SQL: it tells -0 from 0 and has no grid.
        let fit = |c: &&Col| !c.owner && !c.key && (self.wild || c.ty != Ty::Float);
        let usable: Vec<Col> = cols.iter().filter(fit).cloned().collect();
        let listed: Vec<&Col> = usable.iter().filter(|c| c.listed).collect();
        if self.one_in(5)
            && let Some(key) = self.public_key(&usable)
        {
            self.label("key: public values of an expression");
            return key;
        }
        match self.rng.random_range(0..12) {
            0..=3 if !listed.is_empty() => {
                self.label("key: listed");
                listed.choose(&mut self.rng).unwrap().sql.clone()
            }
            4 => {
                self.label("key: condition");
                self.boolean(&usable, 1)
            }
            5 => {
                self.label("key: case");
                let (a, b) = (self.boolean(&usable, 1), self.boolean(&usable, 1));
                format!("CASE WHEN {a} THEN 'x' WHEN {b} THEN 'y' ELSE 'z' END")
            }
            6 => {
                self.label("key: date part");
                self.date_part(&usable, 1)
            }
            7 => {
                self.label("key: expression");
                let ty = *self.pick(&[Ty::Int, Ty::Int, Ty::Text, Ty::Text, Ty::Date, Ty::Stamp, Ty::Float]);
                let ty = if ty == Ty::Float && !self.wild { Ty::Int } else { ty };
                self.expr(&usable, ty, 2)
            }
            8 if self.wild && self.one_in(8) => {
                self.label("key: row id");
                cols.choose(&mut self.rng).map_or("1".into(), |c| c.sql.clone())
            }
            _ => {
                self.label("key: column");
                match usable.choose(&mut self.rng) {
                    Some(column) => column.sql.clone(),
                    None => "TRUE".into(),
                }
            }
        }
    }

    fn source(&mut self, depth: u32) -> Source {
        match self.rng.random_range(0..10) {
            0..=2 if depth > 0 => self.join_persons(depth),
            3..=5 if depth > 0 => self.join_public(depth),
            _ => {
                let (sql, cols) = self.relation(depth);
                Source { from: sql, condition: None, cols }
            }
        }
    }

    fn join_persons(&mut self, depth: u32) -> Source {
        let (left, left_cols) = self.relation_with_owner(depth - 1);
        let (right, right_cols) = self.relation_with_owner(depth - 1);
        let owner = |cols: &[Col]| cols.iter().find(|c| c.owner).unwrap().clone();
        let (a, b) = (owner(&left_cols), owner(&right_cols));
        let cols: Vec<Col> = left_cols.iter().chain(&right_cols).cloned().collect();
        let equal = if self.one_in(4) { format!("{} = {}", b.sql, a.sql) } else { format!("{} = {}", a.sql, b.sql) };
        if self.wild
            && self.one_in(6)
            && let Some(linked) = self.join_link(depth)
        {
            return linked;
        }
        match self.rng.random_range(0..5) {
            0 if a.name == b.name => {
                self.label("join persons: using");
                Source { from: format!("{left} JOIN {right} USING ({})", a.name), condition: None, cols }
            }
            1 => {
                self.label("join persons: comma");
                Source { from: format!("{left}, {right}"), condition: Some(equal), cols }
            }
            2 => {
                self.label("join persons: on and more");
                let more = self.boolean(&cols, 1);
                Source { from: format!("{left} JOIN {right} ON {equal} AND {more}"), condition: None, cols }
            }
            3 if self.wild && self.one_in(8) => {
                self.label("refused join");
                Source { from: format!("{left} CROSS JOIN {right}"), condition: None, cols }
            }
            3 if self.one_in(5) => self.join_lateral((left, left_cols)),
            3 => self.outer_join((left, left_cols), (right, right_cols), &equal),
            _ => {
                self.label("join persons: on");
                Source { from: format!("{left} JOIN {right} ON {equal}"), condition: None, cols }
            }
        }
    }

    fn join_public(&mut self, depth: u32) -> Source {
        let (owned, owned_cols) = self.relation(depth - 1);
        let (public, public_cols) = self.public_relation();
        let key = public_cols.iter().find(|c| c.name == "concept_id").unwrap().sql.clone();
        let integers: Vec<&Col> = owned_cols.iter().filter(|c| c.ty == Ty::Int && !c.owner && !c.key).collect();
        let mine = integers.choose(&mut self.rng).map(|c| c.sql.clone());
        let cols: Vec<Col> = owned_cols.iter().chain(&public_cols).cloned().collect();
        let mine = mine.unwrap_or_else(|| self.expr(&owned_cols, Ty::Int, 1));
        let condition = match self.rng.random_range(0..5) {
            0 => {
                self.label("join public: on and more");
                format!("{mine} = {key} AND {}", self.boolean(&cols, 1))
            }
            1 => {
                self.label("join public: any condition");
                self.boolean(&cols, 1)
            }
            _ => format!("{mine} = {key}"),
        };
        match self.rng.random_range(0..6) {
            0 | 1 => {
                self.label("join public: left");
                Source { from: format!("{owned} LEFT JOIN {public} ON {condition}"), condition: None, cols }
            }
            2 => {
                self.label("join public: right");
                Source { from: format!("{public} RIGHT JOIN {owned} ON {condition}"), condition: None, cols }
            }
            3 => {
                self.label("join public: comma");
                Source { from: format!("{owned}, {public}"), condition: Some(condition), cols }
            }
            4 if self.wild && self.one_in(4) => {
                self.label("refused join");
                Source { from: format!("{public} LEFT JOIN {owned} ON {condition}"), condition: None, cols }
            }
            _ => {
                self.label("join public: inner");
                match self.one_in(2) {
                    true => Source { from: format!("{owned} JOIN {public} ON {condition}"), condition: None, cols },
                    false => Source { from: format!("{public} JOIN {owned} ON {condition}"), condition: None, cols },
                }
            }
        }
    }

    fn public_relation(&mut self) -> (String, Vec<Col>) {
        if self.one_in(5) {
            return self.list();
        }
        let tables = public_tables();
        let (name, schema, unique) = self.pick(&tables).clone();
        self.label(if unique.is_empty() { "public: repeated key" } else { "public: unique key" });
        let alias = self.name("p");
        let cols: Vec<Col> = schema
            .fields()
            .iter()
            .map(|f| {
                let ty = match f.data_type() {
                    datafusion::arrow::datatypes::DataType::Int64 => Ty::Int,
                    datafusion::arrow::datatypes::DataType::Float64 => Ty::Float,
                    _ => Ty::Text,
                };
                col(&alias, f.name(), ty)
            })
            .collect();
        match self.rng.random_range(0..4) {
            0 => {
                self.label("public: filtered");
                let condition = self.boolean(&cols, 1);
                (format!("(SELECT * FROM {VOCABULARY}.{name} AS {alias} WHERE {condition}) AS {alias}"), cols)
            }
            1 if self.one_in(3) => {
                self.label("public: aggregated");
                let counted =
                    format!("(SELECT concept_id, COUNT(*) AS n FROM {VOCABULARY}.{name} GROUP BY concept_id)");
                (format!("{counted} AS {alias}"), vec![col(&alias, "concept_id", Ty::Int), col(&alias, "n", Ty::Int)])
            }
            _ => (format!("{VOCABULARY}.{name} AS {alias}"), cols),
        }
    }

    /// A relation over persons' rows under an alias.
    fn relation(&mut self, depth: u32) -> (String, Vec<Col>) {
        match self.rng.random_range(0..11) {
            10 if depth > 0 => self.union(depth),
            // What plain SQL says of row ids that two persons share is another thing: the random ones are.
            5 if self.wild && self.one_in(3) => self.of_row_ids(),
            0..=2 if depth > 0 => self.subquery(depth, false),
            3..=5 if depth > 0 => self.per_person(depth),
            _ => self.table(),
        }
    }

    pub fn relation_with_owner(&mut self, depth: u32) -> (String, Vec<Col>) {
        match self.rng.random_range(0..10) {
            0..=2 if depth > 0 => self.subquery(depth, true),
            3..=4 if depth > 0 => self.per_person(depth),
            _ => self.table(),
        }
    }

    fn table(&mut self) -> (String, Vec<Col>) {
        let model = model();
        let name = *self.pick(&["person", "person", "visit", "visit", "visit", "lab", "lab", "rare"]);
        let table = model.table(name).unwrap();
        let alias = self.name("t");
        let cols = table.queryable().map(|column| {
            let ty = match column.data_type {
                ColumnType::Int64 => Ty::Int,
                ColumnType::Float64 => Ty::Float,
                ColumnType::Utf8 => Ty::Text,
                ColumnType::Date => Ty::Date,
                ColumnType::Timestamp => Ty::Stamp,
                ColumnType::Boolean => Ty::Bool,
            };
            let owner = table.owner.as_deref() == Some(column.name.as_str());
            Col {
                owner,
                key: column.class == ColumnClass::Key && !owner,
                bounded: column.bounds.is_some() || (column.domain.is_some() && ty == Ty::Int),
                listed: column.domain.is_some() || ty == Ty::Bool,
                ..col(&alias, &column.name, ty)
            }
        });
        (format!("{DATASET}.{name} AS {alias}"), cols.collect())
    }

    /// A subquery or CTE with a projection, which may drop the owner key.
    fn subquery(&mut self, depth: u32, keep_owner: bool) -> (String, Vec<Col>) {
        let source = self.source(depth - 1);
        let alias = self.name("s");
        let owner = source.cols.iter().find(|c| c.owner).cloned();
        let Some(owner) = owner else { return self.table() };
        let (mut items, mut cols) = (vec![], vec![]);
        if keep_owner || !self.one_in(4) {
            let name = if self.one_in(4) { self.name("o") } else { owner.name.clone() };
            items.push(format!("{} AS {name}", owner.sql));
            cols.push(Col { owner: true, ..col(&alias, &name, Ty::Int) });
        } else {
            self.label("owner dropped");
        }
        for column in source.cols.iter().filter(|c| !c.owner) {
            if self.one_in(3) {
                continue;
            }
            let name = self.name("c");
            items.push(format!("{} AS {name}", column.sql));
            cols.push(Col { sql: format!("{alias}.{name}"), name, ..column.clone() });
        }
        for _ in 0..self.rng.random_range(0..3) {
            let ty = *self.pick(&[Ty::Int, Ty::Float, Ty::Text, Ty::Bool, Ty::Date]);
            let (expr, name) = (self.expr(&source.cols, ty, 2), self.name("e"));
            items.push(format!("{expr} AS {name}"));
            cols.push(col(&alias, &name, ty));
        }
        let mut numbered = None;
        while self.one_in(4) {
            let ((call, ty, bounded), name) = (self.window(&source.cols, &owner.sql), self.name("n"));
            if call.contains("row_number") {
                numbered = Some(name.clone());
            }
            items.push(format!("{call} AS {name}"));
            cols.push(Col { bounded, ..col(&alias, &name, ty) });
        }
        if self.one_in(8) {
            let (value, name) = (self.scalar_subquery(&source.cols, &owner.sql), self.name("e"));
            items.push(format!("{value} AS {name}"));
            cols.push(col(&alias, &name, Ty::Int));
        }
        if items.is_empty() {
            items.push("1 AS one".into());
            cols.push(Col { bounded: true, ..col(&alias, "one", Ty::Int) });
        }
        let distinct = match self.one_in(6) && cols.iter().any(|c| c.owner) {
            true => {
                self.label("distinct");
                "DISTINCT "
            }
            false => "",
        };
        let mut select = format!("SELECT {distinct}{} FROM {}", items.join(", "), source.from);
        let mut conditions: Vec<String> = source.condition.into_iter().collect();
        if self.one_in(2) {
            conditions.push(self.condition(&source.cols, 2));
        }
        if !conditions.is_empty() {
            select += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if self.wild && self.one_in(40) {
            self.label("refused step");
            select = match self.rng.random_range(0..4) {
                0 => format!("{select} LIMIT 3"),
                1 => format!("SELECT DISTINCT 1 AS one FROM ({select}) AS x"),
                2 => format!("{select} UNION ALL SELECT 1"),
                _ => select.replacen("SELECT", "SELECT row_number() OVER () AS r,", 1),
            };
        }
        if let Some(number) = numbered.filter(|_| self.one_in(2)) {
            self.label("window: first rows");
            select = match self.one_in(2) {
                true => format!("SELECT * FROM ({select}) AS numbered WHERE {number} = 1"),
                false => format!("SELECT * FROM ({select}) AS numbered WHERE {number} <= 3"),
            };
        }
        self.named(select, alias, cols)
    }

    /// A step grouped by the owner key.
    fn per_person(&mut self, depth: u32) -> (String, Vec<Col>) {
        let source = self.source(depth - 1);
        let Some(owner) = source.cols.iter().find(|c| c.owner).cloned() else { return self.table() };
        self.label(if depth >= 3 { "per person: nested" } else { "per person" });
        let alias = self.name("g");
        let mut items = vec![format!("{} AS {}", owner.sql, owner.name)];
        let mut keys = vec![owner.sql.clone()];
        let mut cols = vec![Col { owner: true, ..col(&alias, &owner.name, Ty::Int) }];
        let others: Vec<Col> = source.cols.iter().filter(|c| !c.owner && !c.key).cloned().collect();
        if self.one_in(3) && !others.is_empty() {
            self.label("per person: more keys");
            let name = self.name("c");
            let (key, from) = match self.one_in(3) {
                true => {
                    let ty = *self.pick(&[Ty::Int, Ty::Text, Ty::Bool]);
                    (self.expr(&others, ty, 1), Col { bounded: false, listed: false, ..col(&alias, &name, ty) })
                }
                false => {
                    let from = self.pick(&others).clone();
                    (from.sql.clone(), from)
                }
            };
            items.push(format!("{key} AS {name}"));
            keys.push(key);
            cols.push(Col { sql: format!("{alias}.{name}"), name, ..from });
        }
        for _ in 0..self.rng.random_range(1..4) {
            let name = self.name("v");
            let (call, ty, bounded) = self.per_person_aggregate(&source.cols);
            items.push(format!("{call} AS {name}"));
            cols.push(Col { bounded, ..col(&alias, &name, ty) });
        }
        let mut select = format!("SELECT {} FROM {}", items.join(", "), source.from);
        let mut conditions: Vec<String> = source.condition.into_iter().collect();
        if self.one_in(3) {
            conditions.push(self.condition(&source.cols, 1));
        }
        if !conditions.is_empty() {
            select += &format!(" WHERE {}", conditions.join(" AND "));
        }
        select += &format!(" GROUP BY {}", keys.join(", "));
        if self.one_in(3) {
            self.label("per person: having");
            select += &match self.one_in(2) {
                true => format!(" HAVING COUNT(*) >= {}", self.rng.random_range(1..4)),
                false => {
                    let column = self.bounded_number(&source.cols);
                    format!(" HAVING MAX({column}) > 2.37")
                }
            };
        }
        self.named(select, alias, cols)
    }

    fn per_person_aggregate(&mut self, cols: &[Col]) -> (String, Ty, bool) {
        let any = |g: &mut Self, ty: Ty| g.expr(cols, ty, 1);
        let (call, ty, bounded) = match self.rng.random_range(0..10) {
            0 | 1 => {
                self.label("per person: count(*)");
                ("COUNT(*)".to_owned(), Ty::Int, true)
            }
            2 => {
                self.label("per person: count(e)");
                let ty = *self.pick(&[Ty::Int, Ty::Text, Ty::Float]);
                let distinct = if self.one_in(2) { "DISTINCT " } else { "" };
                (format!("COUNT({distinct}{})", any(self, ty)), Ty::Int, true)
            }
            3 => {
                self.label("per person: sum of integers");
                (format!("SUM({})", any(self, Ty::Int)), Ty::Int, false)
            }
            4 if self.wild && self.one_in(2) => self.person_moment(cols),
            4 => {
                self.label("per person: sum");
                (format!("SUM({})", self.bounded_number(cols)), Ty::Float, true)
            }
            5 if self.one_in(3) => {
                self.label("per person: string_agg");
                let text = any(self, Ty::Text);
                (format!("STRING_AGG({text}, ',' ORDER BY {text})"), Ty::Text, false)
            }
            5 => {
                self.label("per person: avg");
                (format!("AVG({})", self.bounded_number(cols)), Ty::Float, true)
            }
            8 => {
                self.label("per person: percentile");
                let (number, share) = (self.bounded_number(cols), *self.pick(&["0", "0.25", "0.5", "0.9", "1"]));
                let number = format!("CAST({number} AS DOUBLE)");
                let call = match self.rng.random_range(0..3) {
                    // Plain SQL does not know it.
                    0 if self.wild => format!("PERCENTILE_DISC({share}) WITHIN GROUP (ORDER BY {number})"),
                    0 => format!("MEDIAN({number})"),
                    1 => format!("PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY {number})"),
                    _ => format!("PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY {number} DESC)"),
                };
                (call, Ty::Float, true)
            }
            9 => {
                self.label("per person: bool_or/bool_and");
                let call = *self.pick(&["BOOL_OR", "BOOL_AND"]);
                (format!("{call}({})", self.boolean(cols, 1)), Ty::Bool, false)
            }
            _ => {
                self.label("per person: min/max");
                let call = *self.pick(&["MIN", "MAX"]);
                let ty = *self.pick(&[Ty::Int, Ty::Float, Ty::Date, Ty::Text, Ty::Stamp]);
                match self.one_in(2) {
                    true => (format!("{call}({})", self.bounded_number(cols)), Ty::Float, true),
                    false => (format!("{call}({})", any(self, ty)), ty, false),
                }
            }
        };
        match self.one_in(5) {
            true => {
                self.label("per person: filter");
                (format!("{call} FILTER (WHERE {})", self.boolean(cols, 1)), ty, bounded)
            }
            false => (call, ty, bounded),
        }
    }

    fn named(&mut self, select: String, alias: String, cols: Vec<Col>) -> (String, Vec<Col>) {
        match self.one_in(3) {
            true => {
                self.label("cte");
                let name = self.name("w");
                self.ctes.push(format!("{name} AS ({select})"));
                (format!("{name} AS {alias}"), cols)
            }
            false => {
                self.label("from-subquery");
                (format!("({select}) AS {alias}"), cols)
            }
        }
    }
}

fn col(alias: &str, name: &str, ty: Ty) -> Col {
    let (sql, name) = (format!("{alias}.{name}"), name.to_owned());
    Col { sql, name, ty, owner: false, half: false, key: false, bounded: false, listed: false }
}
