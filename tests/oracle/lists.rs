//! How do random questions use lists that stand in them, distinct groups and LATERAL?

use rand::Rng;

use super::{
    database::{DATASET, VOCABULARY},
    expressions::{Col, Gen, Ty},
    grammar::Source,
};

/// A list whose first column meets the integers of the rows.
const LIST: &str = "(VALUES (0, 'a'), (1, 'b'), (2, NULL), (2, 'b'), (77, 'c'))";

impl Gen {
    /// The list as a relation to join.
    pub fn list(&mut self) -> (String, Vec<Col>) {
        self.label("public: list");
        let alias = self.name("p");
        let column = |name: &str, ty| Col {
            sql: format!("{alias}.{name}"),
            name: name.to_owned(),
            ty,
            owner: false,
            half: false,
            key: false,
            bounded: name == "concept_id",
            listed: true,
        };
        let cols = vec![column("concept_id", Ty::Int), column("word", Ty::Text)];
        (format!("{LIST} AS {alias}(concept_id, word)"), cols)
    }

    /// Entries of a list, or of a public table, with counts of those who belong to each, also where nobody does.
    pub fn beside_a_list(&mut self, depth: u32) -> (String, usize, usize) {
        self.label("release: beside a list");
        let (owned, cols) = self.relation_with_owner(depth - 1);
        let whole = |c: &&Col| c.ty == Ty::Int && !c.owner && !c.key;
        let Some(number) = cols.iter().find(whole).map(|c| c.sql.clone()) else {
            return (format!("SELECT COUNT(*) AS a0 FROM {owned}"), 0, 1);
        };
        let list = match self.one_in(3) {
            true => format!("{VOCABULARY}.concept AS q"),
            false => format!("{LIST} AS q(concept_id, name)"),
        };
        let owner = cols.iter().find(|c| c.owner).map(|c| c.sql.clone()).unwrap_or_default();
        let more = if self.one_in(3) { format!(" AND {}", self.boolean(&cols, 1)) } else { String::new() };
        let only = *self.pick(&["", "", " WHERE q.concept_id < 5"]);
        let bound = self.rng.random_range(-2..6);
        let condition = self.boolean(&cols, 1);
        let calls = [
            format!("COUNT({owner})"),
            format!("COUNT(DISTINCT {owner})"),
            format!("COUNT({number})"),
            format!("COUNT({owner}) FILTER (WHERE {number} > {bound})"),
            format!("COUNT({owner}) FILTER (WHERE {condition})"),
            format!("COUNT(DISTINCT CASE WHEN {number} BETWEEN 0 AND {bound} THEN {owner} END)"),
            format!("SUM(CASE WHEN {number} IN (1, 2) OR {number} < {bound} THEN 1 ELSE 0 END)"),
            format!("SUM(CASE {number} WHEN {bound} THEN 1 WHEN 0 THEN 2 ELSE 0 END)"),
            format!("SUM(CASE WHEN {condition} THEN 1 ELSE 0 END)"),
        ];
        let call = self.pick(&calls).clone();
        let select = format!(
            "SELECT q.concept_id AS k0, {call} AS a0 FROM {list} LEFT JOIN {owned} ON q.concept_id = {number}{more}{only} \
             GROUP BY q.concept_id"
        );
        (select, 1, 1)
    }

    /// How many groups there are, and what lies in them.
    pub fn of_distinct(&mut self, depth: u32) -> (String, usize, usize) {
        self.label("release: distinct");
        let (owned, cols) = self.relation_with_owner(depth - 1);
        let plain = |c: &&Col| !c.owner && !c.key && c.ty != Ty::Float;
        let key = cols.iter().filter(plain).nth(self.rng.random_range(0..3)).map_or("1".to_owned(), |c| c.sql.clone());
        let rest = match self.one_in(2) {
            true => format!(" WHERE {}", self.boolean(&cols, 1)),
            false => String::new(),
        };
        let distinct = match self.one_in(3) {
            true => format!("SELECT {key} AS k FROM {owned}{rest} GROUP BY {key}"),
            false => format!("SELECT DISTINCT {key} AS k FROM {owned}{rest}"),
        };
        (format!("SELECT COUNT(*) AS a0, COUNT(k) AS a1 FROM ({distinct}) AS d"), 0, 2)
    }

    /// Each row with an aggregate of the same person's rows beside it.
    pub fn join_lateral(&mut self, left: (String, Vec<Col>)) -> Source {
        self.label("join persons: lateral");
        let alias = self.name("l");
        let owner = left.1.iter().find(|c| c.owner).unwrap().sql.clone();
        let (table, column) = *self.pick(&[("visit", "minutes"), ("visit", "code"), ("lab", "big"), ("rare", "x")]);
        let kind = *self.pick(&["CROSS JOIN", "LEFT JOIN"]);
        let on = if kind == "LEFT JOIN" { " ON TRUE" } else { "" };
        let (item, first) = match self.wild && self.one_in(3) {
            true => {
                self.label("join persons: lateral first row");
                (format!("z.{column}"), format!(" ORDER BY z.{column} {} LIMIT 1", self.pick(&["ASC", "DESC"])))
            }
            false => (format!("{}(z.{column})", self.pick(&["MAX", "MIN", "COUNT"])), String::new()),
        };
        let from = format!(
            "{} {kind} LATERAL (SELECT {item} AS m FROM {DATASET}.{table} AS z WHERE z.person_id = {owner}{first}) \
             AS {alias}{on}",
            left.0
        );
        let mut cols = left.1;
        cols.push(Col {
            sql: format!("{alias}.m"),
            name: "m".into(),
            ty: Ty::Int,
            owner: false,
            half: false,
            key: false,
            bounded: false,
            listed: false,
        });
        Source { from, condition: None, cols }
    }

    /// Rows that meet by a declared link, without the owner key in the condition. Random links lead to rows of others
    /// as well, which ingest lets none do; so their meaning is not compared.
    pub fn join_link(&mut self, depth: u32) -> Option<Source> {
        let (left, left_cols) = self.relation_with_owner(depth - 1);
        let (right, right_cols) = self.relation_with_owner(depth - 1);
        let link = |cols: &[Col]| cols.iter().find(|c| c.name == "visit_id").map(|c| c.sql.clone());
        let (a, b) = (link(&left_cols)?, link(&right_cols)?);
        self.label("join persons: by a link");
        let kind = *self.pick(&["JOIN", "JOIN", "LEFT JOIN"]);
        let cols = match kind {
            "JOIN" => left_cols.into_iter().chain(right_cols.into_iter().filter(|c| !c.owner)).collect(),
            _ => left_cols,
        };
        Some(Source { from: format!("{left} {kind} {right} ON {a} = {b}"), condition: None, cols })
    }

    /// Steps inside the rows that share a row id, without the owner key among their columns.
    pub fn of_row_ids(&mut self) -> (String, Vec<Col>) {
        self.label("per person: by row id");
        let (alias, table) = (self.name("r"), format!("{DATASET}.visit AS v"));
        let select = match self.rng.random_range(0..3) {
            0 => format!("SELECT v.visit_id AS r, COUNT(*) AS n, MAX(v.minutes) AS m FROM {table} GROUP BY v.visit_id"),
            1 => format!("SELECT DISTINCT v.visit_id AS r, v.kind AS n, v.minutes AS m FROM {table}"),
            _ => format!(
                "SELECT v.visit_id AS r, row_number() OVER (PARTITION BY v.visit_id ORDER BY v.start) AS n, \
                 MAX(v.minutes) OVER (PARTITION BY v.visit_id) AS m FROM {table}"
            ),
        };
        let column = |name: &str, key| Col {
            sql: format!("{alias}.{name}"),
            name: name.to_owned(),
            ty: Ty::Int,
            owner: false,
            half: false,
            key,
            bounded: !key,
            listed: false,
        };
        let cols = vec![column("r", true), column("n", false), column("m", false)];
        (format!("({select}) AS {alias}"), cols)
    }

    /// The owner key where a condition holds, and NULL elsewhere.
    pub fn chosen_owner(&mut self, cols: &[Col], owner: &str) -> String {
        self.label("count(distinct chosen owner)");
        let more = if self.one_in(3) { " ELSE NULL" } else { "" };
        format!("CASE WHEN {} THEN {owner}{more} END", self.boolean(cols, 1))
    }
}
