//! How many steps may reading a text take?
//!
//! Where a reading fails the parser tries another, and inside each the same again: a few dozen open parentheses after words
//! such as EXTRACT or CAST would keep it busy for years. Depth does not bound that, so attempts are counted.

use std::{any::TypeId, cell::Cell};

use datafusion::sql::sqlparser::{
    ast::Expr,
    dialect::{Dialect, PostgreSqlDialect, Precedence},
    keywords::Keyword,
    parser::{Parser, ParserError},
};

/// Beginnings of expressions that may be read, those of failed attempts among them: several for each word of the longest
/// text that is admitted, and about a second of work.
const STEPS_MAX: u32 = 250_000;

/// The PostgreSQL dialect, for one text: it ends the parser, without another attempt, when all steps are used up.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    steps: Cell<u32>,
}

const PLAIN: PostgreSqlDialect = PostgreSqlDialect {};

macro_rules! as_it_is {
    ($(fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $of),*) -> $result {
            PLAIN.$name($($argument),*)
        })*
    };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        PLAIN.dialect()
    }

    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.steps.set(self.steps.get().saturating_add(1));
        (self.steps.get() > STEPS_MAX).then_some(Err(ParserError::RecursionLimitExceeded))
    }

    /// PostgreSQL has no CONVERT of types; SQL Server has the type first.
    fn convert_type_before_value(&self) -> bool {
        true
    }

    /// Also as MySQL, Spark and BigQuery quote names.
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || PLAIN.is_delimited_identifier_start(ch)
    }

    as_it_is! {
        fn identifier_quote_style(identifier: &str) -> Option<char>;
        fn is_identifier_start(ch: char) -> bool;
        fn is_identifier_part(ch: char) -> bool;
        fn supports_unicode_string_literal() -> bool;
        fn is_reserved_for_identifier(keyword: Keyword) -> bool;
        fn is_custom_operator_part(ch: char) -> bool;
        fn get_next_precedence(parser: &Parser<'_>) -> Option<Result<u8, ParserError>>;
        fn supports_filter_during_aggregation() -> bool;
        fn supports_group_by_expr() -> bool;
        fn prec_value(precedence: Precedence) -> u8;
        fn allow_extract_custom() -> bool;
        fn allow_extract_single_quotes() -> bool;
        fn supports_create_index_with_clause() -> bool;
        fn supports_explain_with_utility_options() -> bool;
        fn supports_listen_notify() -> bool;
        fn supports_factorial_operator() -> bool;
        fn supports_bitwise_shift_operators() -> bool;
        fn supports_comment_on() -> bool;
        fn supports_load_extension() -> bool;
        fn supports_named_fn_args_with_colon_operator() -> bool;
        fn supports_named_fn_args_with_expr_name() -> bool;
        fn supports_empty_projections() -> bool;
        fn supports_nested_comments() -> bool;
        fn supports_string_escape_constant() -> bool;
        fn supports_numeric_literal_underscores() -> bool;
        fn supports_array_typedef_with_brackets() -> bool;
        fn supports_geometric_types() -> bool;
        fn supports_set_names() -> bool;
        fn supports_alter_column_type_using() -> bool;
        fn supports_notnull_operator() -> bool;
        fn supports_interval_options() -> bool;
        fn supports_insert_table_alias() -> bool;
        fn supports_create_table_like_parenthesized() -> bool;
        fn supports_select_wildcard_with_alias() -> bool;
        fn supports_comma_separated_trim() -> bool;
        fn supports_xml_expressions() -> bool;
        fn supports_comment_optimizer_hint() -> bool;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the PostgreSQL dialect says for itself and this one would not pass on is found when one of them is added.
    #[test]
    fn nothing_that_the_dialect_says_is_lost() {
        for text in [
            "SELECT E'a\\n', U&'x', 1_000, a::INT[], b !~* 'x', c ->> 'd', /* /* */ */ 5 << 1, x NOTNULL FROM t AS \"T\"",
            "SELECT COUNT(*) FILTER (WHERE a), EXTRACT('year' FROM b), TRIM(BOTH 'x', y) FROM t GROUP BY 1",
            "SELECT $1, f(a => 1), INTERVAL '1 day', x IS NOT DISTINCT FROM y, DATE '2020-01-01' - 1 FROM a, b",
        ] {
            let plain = Parser::new(&PLAIN).try_with_sql(text).and_then(|mut p| p.parse_statements());
            let ours = Postgres::default();
            let counted = Parser::new(&ours).try_with_sql(text).and_then(|mut p| p.parse_statements());
            assert_eq!(plain, counted);
            assert!(plain.is_ok(), "{plain:?}");
        }
    }

    #[test]
    fn attempts_inside_attempts_come_to_an_end() {
        for opening in ["EXTRACT(", "CAST(", "CASE(", "CURRENT_DATE(", "CURRENT_DATE(1 + ", "SUM(a IN (", "CONVERT("] {
            let text = format!("SELECT {}YEAR FROM c.d AS y", opening.repeat(30));
            let ours = Postgres::default();
            let read =
                Parser::new(&ours).with_recursion_limit(40).try_with_sql(&text).and_then(|mut p| p.parse_statements());
            assert!(read.is_err(), "{opening}");
            assert!(ours.steps.get() < STEPS_MAX + 1_000, "{opening}: {}", ours.steps.get());
        }
    }
}
