//! Is this text a question, a setting, or something this door does not do?

use datafusion::sql::sqlparser::{
    ast::{Expr, ObjectName, Set, Statement, Value},
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use super::Limits;
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
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
    let tokens = numbered(tokens.map_err(|fault| not_sql(&fault.into(), limits))?)?;
    let mut statements = Parser::new(&PostgreSqlDialect {})
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
    }
}
