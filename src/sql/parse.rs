//! Is this text a question, a setting, or something this door does not do?

use std::collections::HashMap;

use datafusion::sql::sqlparser::{
    ast::{Expr, ObjectName, Set, Statement, Value},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use super::{Limits, steps::Postgres};
use crate::terms::Refusal;

/// One admitted statement.
#[derive(Debug)]
pub enum Call {
    /// A question to answer.
    Ask(Box<Statement>),
    /// A question to price, without reading data.
    Explain(Box<Statement>),
    /// `SET sekisho.NAME = VALUE`, without the prefix.
    Set {
        /// The setting without `sekisho.`.
        name: String,
        /// The value as text; `None` for DEFAULT.
        value: Option<String>,
    },
    /// `SHOW sekisho.NAME` or `SHOW ALL`.
    Show {
        /// The setting without `sekisho.`; `None` for all.
        name: Option<String>,
    },
}

/// Reads one statement of the PostgreSQL dialect.
///
/// # Errors
/// [`Refusal::TooComplex`] above the limits, [`Refusal::NotSql`] with the position, [`Refusal::NotAQuestion`] for
/// anything that is not one single question, EXPLAIN, SET or SHOW.
pub fn parse(text: &str, limits: &Limits) -> Result<Call, Refusal> {
    if text.len() > limits.text_bytes_max {
        return Err(Refusal::TooComplex { limit: format!("at most {} bytes of SQL", limits.text_bytes_max) });
    }
    let dialect = Postgres::default();
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let tokens = bracketed(numbered(tokens.map_err(|fault| not_sql(&fault.into(), limits))?)?);
    short_chains(&tokens, limits)?;
    few_copies(&tokens)?;
    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(limits.nesting_max)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|fault| not_sql(&fault, limits))?;
    let statement = statements.pop().ok_or(Refusal::NotSql { line: 1, column: 1 })?;
    match (statements.is_empty(), statement) {
        (false, _) => Err(not_a_question("ask one question at a time")),
        (true, statement) => classify(statement),
    }
}

/// `[name]` is a quoted name, as SQL Server writes it, wherever no array and no index can stand: those follow a name, a
/// parenthesis or ARRAY.
fn bracketed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut named: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let (mut arrays, mut rest) = (0_usize, tokens.into_iter());
    while let Some(mut token) = rest.next() {
        match token.token {
            // An array's type has nothing between them.
            Token::LBracket
                if arrays > 0
                    || !may_name(&named)
                    || rest.as_slice().first().is_some_and(|next| next.token == Token::RBracket) =>
            {
                arrays += 1;
            }
            Token::RBracket => arrays = arrays.saturating_sub(1),
            Token::LBracket => {
                let name: String = rest
                    .by_ref()
                    .map(|inner| inner.token)
                    .take_while(|inner| *inner != Token::RBracket)
                    .map(|inner| inner.to_string())
                    .collect();
                token.token = Token::make_word(&name, Some('"'));
            }
            _ => {}
        }
        named.push(token);
    }
    named
}

/// Whether a name may follow these tokens.
fn may_name(before: &[TokenWithSpan]) -> bool {
    match before.iter().rev().map(|token| &token.token).find(|token| !matches!(token, Token::Whitespace(_))) {
        Some(Token::Word(word)) => {
            word.quote_style.is_none() && !matches!(word.keyword, Keyword::NoKeyword | Keyword::ARRAY)
        }
        Some(Token::RParen | Token::RBracket | Token::Placeholder(_)) => false,
        _ => true,
    }
}

/// A `?` is the next parameter, as clients write it; in this dialect it would be an operator of types that are not here.
fn numbered(mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Refusal> {
    let named = tokens.iter().any(|t| matches!(t.token, Token::Placeholder(_)));
    let mut count = 0_usize;
    for token in tokens.iter_mut().filter(|t| t.token == Token::Question) {
        count += 1;
        token.token = Token::Placeholder(format!("${count}"));
    }
    match named && count > 0 {
        true => Err(not_a_question("write parameters as ? or as $1, $2 and so on, not both")),
        false => Ok(tokens),
    }
}

/// Operators in a row make a tree as deep as they are many: the parser builds it in a loop, but whoever walks it later
/// needs a stack as deep. Counted are those since the last comma, with those of all that is still open. Words decide
/// nothing here: any of them may be the name of a column.
fn short_chains(tokens: &[TokenWithSpan], limits: &Limits) -> Result<(), Refusal> {
    let (mut open, mut here, mut around, mut sets) = (vec![], 0_usize, 0_usize, 0_usize);
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                // A call or an index is one more operator.
                open.push(here + 1);
                around += here + 1;
                here = 0;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                here = open.pop().unwrap_or(here);
                around = around.saturating_sub(here);
            }
            Token::Comma => here = 0,
            Token::Word(word) => match word.keyword {
                Keyword::NoKeyword => {}
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => sets += 1,
                // AND, OR, IS, LIKE, COLLATE and many others.
                _ => here += 1,
            },
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Whitespace(_)
            | Token::Period
            | Token::EOF => {}
            _ => here += 1,
        }
        if around + here > limits.operators_max || sets > SETS_MAX {
            return Err(Refusal::TooComplex { limit: format!("at most {} operators in a row", limits.operators_max) });
        }
    }
    Ok(())
}

/// UNION and the like in a row: each is a level of the tree.
const SETS_MAX: usize = 256;

/// Steps of a WITH, written out wherever it is read.
const COPIES_MAX: u64 = 65_536;

/// A WITH that reads the one before twice doubles what the planner writes out: forty of them never end. `name AS (` begins
/// one; a word in it that names an earlier one counts as a reading of it, column or not.
fn few_copies(tokens: &[TokenWithSpan]) -> Result<(), Refusal> {
    /// A parenthesis that is open.
    struct Open {
        /// The WITH that it defines.
        defines: Option<String>,
        /// The word before it.
        before: Option<String>,
        steps: u64,
    }
    let mut known: HashMap<String, u64> = HashMap::new();
    let mut open = vec![Open { defines: None, before: None, steps: 1 }];
    let (mut named, mut last): (Option<String>, Option<String>) = (None, None);
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::LParen => open.push(Open { defines: named.take(), before: last.take(), steps: 1 }),
            Token::RParen if open.len() > 1 => {
                let Some(Open { defines, before, steps }) = open.pop() else { continue };
                match (defines, open.last_mut()) {
                    (Some(name), _) => {
                        let known = known.entry(name).or_default();
                        *known = steps.max(*known);
                    }
                    (None, Some(around)) => around.steps = around.steps.saturating_add(steps - 1),
                    (None, None) => {}
                }
                // `name (columns) AS (` names it as well.
                (named, last) = (None, before);
            }
            Token::Word(word) => {
                let name = word.value.to_lowercase();
                if let (Some(steps), Some(here)) = (known.get(&name), open.last_mut()) {
                    here.steps = here.steps.saturating_add(*steps);
                }
                match word.keyword {
                    Keyword::AS => named = last.take(),
                    Keyword::NOT | Keyword::MATERIALIZED => {}
                    _ => (named, last) = (None, Some(name)),
                }
            }
            _ => (named, last) = (None, None),
        }
        if open.iter().any(|open| open.steps > COPIES_MAX) {
            return Err(Refusal::TooComplex { limit: format!("WITH of at most {COPIES_MAX} steps written out") });
        }
    }
    Ok(())
}

fn classify(statement: Statement) -> Result<Call, Refusal> {
    match statement {
        Statement::Query(_) => Ok(Call::Ask(Box::new(statement))),
        Statement::Explain { analyze: false, verbose: false, query_plan: false, statement, options: None, .. } => {
            match *statement {
                Statement::Query(_) => Ok(Call::Explain(statement)),
                _ => Err(not_a_question("EXPLAIN takes a SELECT")),
            }
        }
        Statement::Explain { .. } => Err(not_a_question("plain EXPLAIN is the only form")),
        Statement::Set(Set::SingleAssignment { scope: None, hivevar: false, variable, values }) => {
            let name = setting(&variable)?;
            match values.as_slice() {
                [value] => Ok(Call::Set { name, value: literal(value)? }),
                _ => Err(not_a_question("a setting takes one value")),
            }
        }
        Statement::ShowVariable { variable } => show(&variable.iter().map(|i| i.value.clone()).collect::<Vec<_>>()),
        _ => Err(not_a_question("ask with SELECT; definitions, changes and copies do not exist")),
    }
}

fn show(words: &[String]) -> Result<Call, Refusal> {
    match words {
        [all] if all.eq_ignore_ascii_case("all") => Ok(Call::Show { name: None }),
        [prefix, name] if prefix.eq_ignore_ascii_case("sekisho") => {
            Ok(Call::Show { name: Some(name.to_ascii_lowercase()) })
        }
        _ => Err(not_a_question("SHOW ALL or SHOW sekisho.<setting>")),
    }
}

fn setting(variable: &ObjectName) -> Result<String, Refusal> {
    let words: Vec<String> =
        variable.0.iter().filter_map(|part| part.as_ident()).map(|i| i.value.to_ascii_lowercase()).collect();
    match words.as_slice() {
        [prefix, name] if prefix == "sekisho" => Ok(name.clone()),
        _ => Err(not_a_question("only settings named sekisho.* can be set; the engine has none for you")),
    }
}

fn literal(value: &Expr) -> Result<Option<String>, Refusal> {
    let refuse = || not_a_question("a setting takes a literal");
    match value {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Ok(Some(number.clone())),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(Some(text.clone())),
            Value::Boolean(on) => Ok(Some(on.to_string())),
            Value::Null => Ok(None),
            _ => Err(refuse()),
        },
        Expr::Identifier(word) if word.value.eq_ignore_ascii_case("default") => Ok(None),
        Expr::Identifier(word) => Ok(Some(word.value.clone())),
        Expr::UnaryOp { .. } => Ok(Some(value.to_string())),
        _ => Err(refuse()),
    }
}

fn not_a_question(hint: &str) -> Refusal {
    Refusal::NotAQuestion { hint: hint.to_owned() }
}

/// The parser's wording stays here; only the position goes out.
fn not_sql(fault: &ParserError, limits: &Limits) -> Refusal {
    match fault {
        ParserError::RecursionLimitExceeded => {
            Refusal::TooComplex { limit: format!("at most {} levels of nesting", limits.nesting_max) }
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let (line, column) = position(text);
            Refusal::NotSql { line, column }
        }
    }
}

fn position(text: &str) -> (u64, u64) {
    let after = |mark: &str| {
        let (_, rest) = text.rsplit_once(mark)?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    (after("Line: ").unwrap_or(0), after("Column: ").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        parse(text, &Limits::default()).map_or_else(|refusal| refusal.code(), |_| "admitted")
    }

    #[test]
    fn only_questions_explain_set_and_show_pass() {
        for admitted in [
            "SELECT 1",
            "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
            "EXPLAIN SELECT 1",
            "SELECT a FROM t WHERE a > ? AND b = ?",
            "SELECT a FROM t WHERE a > $1 AND b = $2",
            "SET sekisho.epsilon = 0.5",
            "SET sekisho.permit TO 'P-1'",
            "SHOW ALL",
            "SHOW sekisho.epsilon",
        ] {
            assert_eq!(code(admitted), "admitted", "{admitted}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_code() {
        for refused in [
            "CREATE TABLE t (a INT)",
            "CREATE VIEW v AS SELECT 1",
            "DROP TABLE person",
            "INSERT INTO person VALUES (1)",
            "UPDATE person SET a = 1",
            "DELETE FROM person",
            "COPY person TO '/tmp/x'",
            "SET datafusion.execution.batch_size = 1",
            "SET TIME ZONE 'Asia/Tokyo'",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN VERBOSE SELECT 1",
            "SELECT 1; SELECT 2",
            "SHOW TABLES",
            "SET sekisho.epsilon = (SELECT 1)",
            "BEGIN",
            "GRANT SELECT ON person TO x",
            "SELECT a FROM t WHERE a > ? AND b = $1",
        ] {
            assert_eq!(code(refused), "not_a_question", "{refused}");
        }
        for refused in ["", "SELEC 1", "SELECT 'open", "hello"] {
            assert_eq!(code(refused), "not_sql", "{refused}");
        }
    }

    #[test]
    fn question_marks_are_parameters_in_their_order_and_plain_signs_in_texts() {
        let Ok(Call::Ask(statement)) = parse("SELECT '?' WHERE 1 < ? AND ? < 3 -- ?", &Limits::default()) else {
            panic!("a question");
        };
        assert_eq!(statement.to_string(), "SELECT '?' WHERE 1 < $1 AND $2 < 3");
    }

    #[test]
    fn brackets_are_names_where_no_array_can_stand() {
        for (written, meant) in [
            ("SELECT TOP 3 [a b], p.[c] FROM [t] AS [x]", "SELECT TOP 3 \"a b\", p.\"c\" FROM \"t\" AS \"x\""),
            ("SELECT ARRAY[1, 2], a[1], (b)[2]", "SELECT ARRAY[1, 2], a[1], (b)[2]"),
            ("SELECT ARRAY[ARRAY[1], ARRAY[2]]", "SELECT ARRAY[ARRAY[1], ARRAY[2]]"),
            ("SELECT a::INT[] FROM [t", "SELECT a::INT[] FROM \"t\""),
        ] {
            match parse(written, &Limits::default()) {
                Ok(Call::Ask(statement)) => assert_eq!(statement.to_string(), meant),
                other => panic!("{written}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_position_is_the_only_word_of_the_parser_that_leaves() {
        let refusal = parse("SELECT a,\n FROM WHERE", &Limits::default()).err();
        assert!(matches!(refusal, Some(Refusal::NotSql { line: 2, .. })), "{refusal:?}");
    }

    #[test]
    fn huge_and_deep_texts_are_too_complex() {
        let huge = format!("SELECT {}", "1,".repeat(70_000));
        assert_eq!(code(&huge), "too_complex");
        let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(code(&deep), "too_complex");
        assert_ne!(code(&format!("SELECT {}YEAR FROM a", "EXTRACT(".repeat(70))), "admitted", "and soon");
    }

    #[test]
    fn a_with_that_is_written_out_too_often_is_too_complex() {
        for (begins, reads) in
            [("AS", "w"), ("AS MATERIALIZED", "w"), ("(x) AS NOT MATERIALIZED", "W"), ("(x) AS", "w")]
        {
            let doubled = |i| format!("w{} {begins} (SELECT a.x FROM {reads}{i} a, {reads}{i} b)", i + 1);
            let more: Vec<String> = (0..40).map(doubled).collect();
            let sql = format!("WITH w0 AS (SELECT 1 AS x), {} SELECT x FROM w40", more.join(", "));
            assert_eq!(code(&sql), "too_complex", "{begins}");
        }
        let chain = |i| format!("w{} AS (SELECT x FROM w{i} JOIN (SELECT y FROM w0) AS z ON x = y)", i + 1);
        let more: Vec<String> = (0..40).map(chain).collect();
        assert_eq!(code(&format!("WITH w0 AS (SELECT 1 AS x), {} SELECT x FROM w40", more.join(", "))), "admitted");
    }

    #[test]
    fn chains_of_operators_are_too_complex_and_long_lists_are_not() {
        let chain = |term: &str, times: usize| format!("SELECT {}", vec![term; times].join(" "));
        for deep in [
            chain("a OR", 2_000) + " b",
            chain("a +", 2_000) + " b",
            format!("SELECT a{}", "::INT".repeat(2_000)),
            format!("SELECT a{}", " IS NULL".repeat(2_000)),
            format!("SELECT a{}", " COLLATE b".repeat(2_000)),
            chain("CASE WHEN a THEN b END +", 2_000) + " c",
            chain("a(b) +", 2_000) + " c",
            chain("a + then + end + from +", 500) + " c",
            format!("SELECT {}1", "1 UNION ALL SELECT ".repeat(2_000)),
        ] {
            assert_eq!(code(&deep), "too_complex", "{}", &deep[..60]);
        }
        for long in [
            format!("SELECT a FROM t WHERE a IN ({}1)", "1,".repeat(20_000)),
            format!("SELECT {}1", "a + b, ".repeat(5_000)),
            format!("SELECT CASE {} END FROM t", "WHEN a = 1 AND b > 2 THEN 3 ".repeat(200)),
            chain("a = 1 OR", 200) + " b = 2",
        ] {
            assert_eq!(code(&long), "admitted", "{}", &long[..60]);
        }
    }
}
