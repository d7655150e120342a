//! Which functions and casts do other engines have under another name or in another order?

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CharacterLength, DataType, DuplicateTreatment, ExactNumberInfo, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart, Subscript,
};

use super::{
    arguments, bare,
    dates::{days, difference, end_of_month, full, months_between, moved, of_age, of_difference, unit_of},
    formats, name, text_of, whole,
};
use crate::terms::Refusal;

/// Aggregates under another name: DISTINCT, FILTER and OVER stay where they are.
const AGGREGATES: [(&str, &str); 13] = [
    ("every", "bool_and"),
    ("logical_and", "bool_and"),
    ("booland_agg", "bool_and"),
    ("logical_or", "bool_or"),
    ("boolor_agg", "bool_or"),
    ("approx_count_distinct", "approx_distinct"),
    ("count_big", "count"),
    ("stdev", "stddev"),
    ("stdevp", "stddev_pop"),
    ("stdev_pop", "stddev_pop"),
    ("stdev_samp", "stddev_samp"),
    ("variance", "var_samp"),
    ("varp", "var_pop"),
];

pub(super) fn rename(call: &mut Function) {
    if let [ObjectNamePart::Identifier(word)] = call.name.0.as_mut_slice()
        && let Some((_, to)) = AGGREGATES.iter().find(|(from, _)| word.value.eq_ignore_ascii_case(from))
    {
        *word = Ident::new(*to);
    }
    if let FunctionArguments::List(list) = &mut call.args
        && list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(row))] = list.args.as_mut_slice()
        && let Expr::Tuple(values) = &*row
        && let Some(whole) =
            super::parsed(&format!("struct({})", values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
    {
        // The engine takes columns alone in a row that is written in parentheses.
        *row = whole;
    }
}

/// One of some percentiles, `(PERCENTILE_CONT(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY x))[2]` or
/// `APPROX_QUANTILES(x, 4)[OFFSET(2)]`.
pub(super) fn one_of_percentiles(root: &Expr, access: &[AccessExpr]) -> Option<String> {
    let [AccessExpr::Subscript(Subscript::Index { index })] = access else { return None };
    let Expr::Function(call) = bare(root) else { return None };
    let [ObjectNamePart::Identifier(word)] = call.name.0.as_slice() else { return None };
    let place = || usize::try_from(whole(index)?).ok()?.checked_sub(1);
    match (word.value.to_ascii_lowercase().as_str(), arguments(call)?.as_slice()) {
        (name @ ("percentile_cont" | "percentile_disc"), [Expr::Array(shares)]) => {
            Some(percentile(call, name, shares.elem.get(place()?)?))
        }
        ("approx_quantiles", [value, parts]) if call.over.is_none() => {
            let parts = u8::try_from(whole(parts)?).ok().filter(|parts| *parts > 0)?;
            let Expr::Function(offset) = bare(index) else { return None };
            let from = match name(offset)?.as_str() {
                "offset" => 0,
                "ordinal" => 1,
                _ => return None,
            };
            let at =
                u8::try_from(whole(arguments(offset)?.first()?)?.checked_sub(from)?).ok().filter(|at| *at <= parts)?;
            let share = f64::from(at) / f64::from(parts);
            let filter = call.filter.as_ref().map_or_else(String::new, |filter| format!(" FILTER (WHERE {filter})"));
            Some(format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {value}){filter}"))
        }
        _ => None,
    }
}

/// One percentile of those in a call.
fn percentile(call: &Function, name: &str, share: &Expr) -> String {
    let mut one = call.clone();
    one.args = FunctionArguments::None;
    let rest = one.to_string().split_off(name.len());
    format!("{name}({share}){rest}")
}

/// `DATEADD(month, DATEDIFF(month, 0, x), 0)`: the first day of a unit, as SQL Server has it without DATETRUNC.
pub(super) fn first_day(expr: &Expr) -> Option<String> {
    let Expr::Function(call) = expr else { return None };
    let called = |call: &Function, wanted: &str| name(call).is_some_and(|name| name == wanted);
    let outer = arguments(call).filter(|_| called(call, "dateadd"))?;
    let [unit, count, zero] = outer.as_slice() else { return None };
    let Expr::Function(between) = bare(count) else { return None };
    let inner = arguments(between).filter(|_| called(between, "datediff"))?;
    let [same, from, of] = inner.as_slice() else { return None };
    let unit = unit_of(unit).filter(|unit| unit_of(same) == Some(*unit) && *unit != "week")?;
    (whole(from) == Some(0) && whole(zero) == Some(0)).then(|| truncated(unit, of))?
}

/// The refusal of operators between sets, and of counted rows, NULL where a join found none.
pub(super) fn unknown(expr: &Expr) -> Option<Refusal> {
    if let Expr::BinaryOp { op, .. } = expr
        && let BinaryOperator::AtArrow | BinaryOperator::ArrowAt | BinaryOperator::PGOverlap = op
    {
        let hint = "ask for members with EXISTS or IN, and for days with OVERLAPS".to_owned();
        return Some(Refusal::FunctionNotAllowed { name: op.to_string(), hint });
    }
    let Expr::Function(call) = expr else { return None };
    let name = call.name.to_string().to_ascii_lowercase();
    if let FunctionArguments::List(list) = &call.args
        && list.args.iter().any(|of| matches!(of, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_))))
    {
        let hint = "count one of its columns, such as its key".to_owned();
        return Some(Refusal::FunctionNotAllowed { name: format!("{name}(table.*)"), hint });
    }
    None
}

/// The first of a person's values in an order, `(ARRAY_AGG(x ORDER BY t))[1]`: FIRST_VALUE, which passes over no NULL either.
pub(super) fn first_of_array(root: &Expr, access: &[AccessExpr]) -> Option<String> {
    let [AccessExpr::Subscript(Subscript::Index { index })] = access else { return None };
    let Expr::Function(call) = bare(root) else { return None };
    let [ObjectNamePart::Identifier(word)] = call.name.0.as_slice() else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let of_one = list.duplicate_treatment.is_none() && list.args.len() == 1 && !list.clauses.is_empty();
    if whole(index) != Some(1) || !word.value.eq_ignore_ascii_case("array_agg") || !of_one || call.over.is_some() {
        return None;
    }
    let mut first = call.clone();
    first.name = vec![Ident::new("first_value")].into();
    Some(first.to_string())
}

/// Aggregates that say in their arguments what others say in clauses of their own; DISTINCT, FILTER and OVER stay.
pub(super) fn aggregate(call: &Function) -> Option<String> {
    let [ObjectNamePart::Identifier(word)] = call.name.0.as_slice() else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let arguments = arguments(call)?;
    let called = |name: &str, within: String| {
        let mut other = call.clone();
        other.name = vec![Ident::new(name)].into();
        other.args = FunctionArguments::None;
        other.within_group = vec![];
        // What follows the name: FILTER, OVER.
        let rest = other.to_string().split_off(name.len());
        Some(format!("{name}({within}){rest}"))
    };
    let plain = list.duplicate_treatment.is_none() && list.clauses.is_empty();
    match (word.value.to_ascii_lowercase().as_str(), arguments.as_slice()) {
        ("count_if" | "countif", [condition]) if plain && call.within_group.is_empty() => {
            called("count", format!("CASE WHEN {condition} THEN 1 END"))
        }
        // Several at once are a text, as PostgreSQL shows an array.
        (name @ ("percentile_cont" | "percentile_disc"), [Expr::Array(shares)]) if !shares.elem.is_empty() => {
            let shown = |share| format!("CAST({} AS VARCHAR)", percentile(call, name, share));
            let shown: Vec<String> = shares.elem.iter().map(shown).collect();
            Some(format!("('{{' || {} || '}}')", shown.join(" || ',' || ")))
        }
        // Any of them will do, so the least does.
        ("any_value", [value]) if plain && call.filter.is_none() && call.over.is_none() => {
            Some(format!("first_value({value} ORDER BY {value}) FILTER (WHERE {value} IS NOT NULL)"))
        }
        ("sumif" | "sum_if", [value, condition]) if plain => {
            called("sum", format!("CASE WHEN {condition} THEN {value} END"))
        }
        // The value beside the greatest, or the least, of another that is there.
        (name @ ("max_by" | "arg_max" | "min_by" | "arg_min"), [value, by])
            if plain && call.filter.is_none() && call.over.is_none() =>
        {
            let order = if name.contains("max") { "DESC" } else { "ASC" };
            Some(format!("first_value({value} ORDER BY {by} {order}) FILTER (WHERE {by} IS NOT NULL)"))
        }
        ("percentile_approx" | "approx_percentile" | "approx_quantile", [value, share, ..]) if plain => {
            let mut other = call.clone();
            other.name = vec![Ident::new("percentile_cont")].into();
            other.args = FunctionArguments::None;
            let rest = other.to_string().split_off("percentile_cont".len());
            Some(format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {value}){rest}"))
        }
        ("listagg" | "string_agg", [value, rest @ ..]) if rest.len() <= 1 && !call.within_group.is_empty() => {
            let between = rest.first().map_or_else(|| "''".to_owned(), ToString::to_string);
            let by = call.within_group.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            plain.then(|| called("string_agg", format!("{value}, {between} ORDER BY {by}")))?
        }
        ("ratio_to_report", [value]) if plain && call.over.is_some() => {
            Some(format!("(CAST({value} AS DOUBLE PRECISION) / {})", called("sum", value.to_string())?))
        }
        // The default that is no literal stands where there is no such row, not where its value is NULL.
        (name @ ("lag" | "lead"), [value, by, default])
            if plain && call.over.is_some() && call.null_treatment.is_none() && !constant(default) =>
        {
            let (there, of) = (called(name, format!("1, {by}"))?, called(name, format!("{value}, {by}"))?);
            Some(format!("CASE WHEN {there} IS NULL THEN {default} ELSE {of} END"))
        }
        // How many different values there are: an array of them holds NULL as well.
        ("cardinality" | "array_length" | "size", [array, rest @ ..])
            if rest.iter().all(|dimension| whole(dimension) == Some(1)) =>
        {
            different_in(array)
        }
        ("listagg", [value, between]) if plain => called("string_agg", format!("{value}, {between}")),
        // The texts of an array, one after the other.
        ("array_to_string", [array, between]) if plain => {
            let Expr::Function(inner) = bare(array) else { return None };
            let [ObjectNamePart::Identifier(word)] = inner.name.0.as_slice() else { return None };
            let FunctionArguments::List(of) = &inner.args else { return None };
            let one = word.value.eq_ignore_ascii_case("array_agg") && of.args.len() == 1 && inner.over.is_none();
            if !one || of.duplicate_treatment.is_some() {
                return None;
            }
            let mut joined = inner.clone();
            joined.name = vec![Ident::new("string_agg")].into();
            if let FunctionArguments::List(of) = &mut joined.args {
                of.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr((*between).clone())));
            }
            Some(joined.to_string())
        }
        _ => None,
    }
}

fn constant(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } => constant(expr),
        _ => false,
    }
}

/// The number of members of `array_agg(DISTINCT x)` and `collect_set(x)`.
fn different_in(array: &Expr) -> Option<String> {
    let Expr::Function(call) = bare(array) else { return None };
    let [ObjectNamePart::Identifier(word)] = call.name.0.as_slice() else { return None };
    let (FunctionArguments::List(list), arguments) = (&call.args, arguments(call)?) else { return None };
    let [value] = arguments.as_slice() else { return None };
    let filter = call.filter.as_ref().map_or_else(String::new, |filter| format!(" FILTER (WHERE {filter})"));
    if call.over.is_some() {
        return None;
    }
    let values = format!("count(DISTINCT {value}){filter}");
    match (word.value.to_ascii_lowercase().as_str(), list.duplicate_treatment) {
        ("collect_set", None) => Some(values),
        ("array_agg", Some(DuplicateTreatment::Distinct)) => {
            Some(format!("({values} + max(CASE WHEN {value} IS NULL THEN 1 ELSE 0 END){filter})"))
        }
        _ => None,
    }
}

/// A call in the engine's own words.
pub(super) fn rewritten(call: &Function) -> Option<String> {
    if let Some(aggregate) = aggregate(call) {
        return Some(aggregate);
    }
    let name = name(call)?;
    let arguments = arguments(call)?;
    of_dates(&name, &arguments).or_else(|| of_values(&name, &arguments))
}

fn of_dates(name: &str, arguments: &[&Expr]) -> Option<String> {
    match (name, arguments) {
        ("datediff" | "date_diff", [first, second, third]) => match (unit_of(first), unit_of(third)) {
            (Some(unit), _) => difference(unit, second, third),
            // The later date first and the unit last.
            (None, Some(unit)) => difference(unit, second, first),
            _ => None,
        },
        ("datediff" | "date_diff", [later, earlier]) => Some(days(later, earlier)),
        ("timestampdiff", [unit, from, to]) => match unit_of(unit)? {
            "day" => Some(days(to, from)),
            "year" => full("year", &to.to_string(), &from.to_string()),
            "month" => {
                let of = |unit| full(unit, &to.to_string(), &from.to_string());
                Some(format!("({} * 12 + {})", of("year")?, of("month")?))
            }
            _ => None,
        },
        ("dateadd" | "date_add" | "timestampadd", [unit, count, date]) => moved(unit_of(unit)?, count, date),
        ("date_add" | "dateadd", [date, by]) => shifted(date, by, '+'),
        ("date_sub" | "datesub", [date, by]) => shifted(date, by, '-'),
        ("add_months", [date, count]) => Some(format!("({date} + INTERVAL '{} month')", whole(bare(count))?)),
        ("months_between", [later, earlier]) => Some(months_between(later, earlier)),
        ("last_day" | "eomonth", [date]) => Some(end_of_month(date)),
        ("date_part" | "datepart", [unit, of]) => match (unit_of(unit), bare(unit)) {
            (Some(unit @ ("year" | "month")), _) if of_age(unit, of).is_some() => of_age(unit, of),
            (Some("day"), _) if of_difference("day", of).is_some() => of_difference("day", of),
            (Some(unit), Expr::Identifier(_)) => Some(format!("EXTRACT({unit} FROM {of})")),
            _ => None,
        },
        ("year" | "month", [of]) if of_age(name, of).is_some() => of_age(name, of),
        ("year" | "month" | "quarter" | "day" | "hour" | "minute", [of]) => Some(format!("EXTRACT({name} FROM {of})")),
        ("dayofmonth", [of]) => Some(format!("EXTRACT(day FROM {of})")),
        ("dayofyear", [of]) => Some(format!("EXTRACT(doy FROM {of})")),
        ("weekofyear" | "isoweek", [of]) => Some(format!("EXTRACT(week FROM {of})")),
        ("dayofweekiso" | "dayofweek_iso", [of]) => Some(format!("EXTRACT(isodow FROM {of})")),
        ("date", [year, month, day]) => Some(format!("make_date({year}, {month}, {day})")),
        ("date", [of]) => Some(format!("CAST({of} AS DATE)")),
        // The unit stands first as a text.
        ("date_trunc" | "datetrunc", [unit, _]) if text_of(unit).is_some() => None,
        // It stands last and bare, where weeks begin on Sunday unless they are said to be of ISO; or first and bare.
        ("date_trunc" | "datetrunc", [of, unit]) if is_word(unit, "week") => {
            Some(format!("(CAST(date_trunc('week', CAST({of} AS DATE) + 1) AS DATE) - 1)"))
        }
        ("date_trunc" | "datetrunc", [of, unit])
            if is_word(unit, "isoweek") || unit.to_string().eq_ignore_ascii_case("week(monday)") =>
        {
            truncated("week", of)
        }
        ("date_trunc" | "datetrunc", [of, unit]) if bare_unit(unit).is_some() => truncated(bare_unit(unit)?, of),
        ("date_trunc" | "datetrunc", [unit, of]) if bare_unit(unit).is_some() => truncated(bare_unit(unit)?, of),
        ("format_date", [format, of]) if text_of(format)?.contains('%') => Some(format!("to_char({of}, {format})")),
        ("trunc", [of, unit]) => {
            let unit = match text_of(unit)?.to_ascii_lowercase().as_str() {
                "mm" | "mon" | "month" => "month",
                "yy" | "yyyy" | "year" => "year",
                "q" => "quarter",
                "iw" => "week",
                "dd" => "day",
                _ => return None,
            };
            Some(format!("CAST(date_trunc('{unit}', {of}) AS DATE)"))
        }
        ("date_format" | "format", [value, format]) => {
            Some(format!("to_char({value}, '{}')", formats::by_letters(text_of(format)?)?.replace('\'', "''")))
        }
        ("date_bin", [width, rest @ ..]) if !rest.is_empty() => {
            let rest = rest.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Some(format!("date_bin(INTERVAL '{}', {rest})", text_of(width)?.replace('\'', "''")))
        }
        ("to_char", [value, format]) => formats::shown(value, text_of(format)?),
        ("to_date" | "to_timestamp", [value, format]) => {
            Some(format!("{name}({value}, '{}')", formats::translated(text_of(format)?)?.replace('\'', "''")))
        }
        ("monthname", [of]) => Some(format!("to_char({of}, '%B')")),
        ("dayname", [of]) => Some(format!("to_char({of}, '%A')")),
        ("datename", [unit, of]) => match unit_of(unit) {
            Some("month") => Some(format!("to_char({of}, '%B')")),
            Some(unit) => Some(format!("CAST(EXTRACT({unit} FROM {of}) AS VARCHAR)")),
            None if is_word(unit, "weekday") || is_word(unit, "dw") => Some(format!("to_char({of}, '%A')")),
            None => None,
        },
        _ => None,
    }
}

/// `CONVERT(type, value, style)`; days as texts are in ISO 8601 alone.
pub(super) fn converted(of: &Expr, to: &DataType, styles: &[Expr]) -> Option<String> {
    if !styles.iter().all(|style| matches!(whole(style), Some(23 | 120 | 121 | 126))) {
        return None;
    }
    Some(match to {
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::Nvarchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::Char(Some(CharacterLength::IntegerLength { length, .. })) => {
            format!("left(CAST({of} AS VARCHAR), {length})")
        }
        DataType::Datetime(_) => format!("CAST({of} AS TIMESTAMP)"),
        to => format!("CAST({of} AS {to})"),
    })
}

/// A unit that is written without quotes.
fn bare_unit(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Identifier(word) if word.quote_style.is_none() => unit_of(expr),
        _ => None,
    }
}

fn is_word(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

fn truncated(unit: &str, of: &Expr) -> Option<String> {
    Some(format!("CAST(date_trunc('{unit}', {of}) AS DATE)"))
}

/// A date moved by an interval or by a number of days.
fn shifted(date: &Expr, by: &Expr, sign: char) -> Option<String> {
    match bare(by) {
        interval @ Expr::Interval(_) => Some(format!("({date} {sign} {interval})")),
        days => Some(format!("({date} {sign} ({days}))")),
    }
}

fn of_values(name: &str, arguments: &[&Expr]) -> Option<String> {
    match (name, arguments) {
        ("iif" | "iff" | "if", [when, then, otherwise]) => {
            Some(format!("CASE WHEN {when} THEN {then} ELSE {otherwise} END"))
        }
        ("log", [x]) => Some(format!("log10({x})")),
        ("log", [base, x]) => Some(match whole(base) {
            Some(10) => format!("log10({x})"),
            Some(2) => format!("log2({x})"),
            _ => format!("(ln({x}) / ln({base}))"),
        }),
        ("charindex" | "locate", [part, of]) => Some(format!("strpos({of}, {part})")),
        ("mod", [a, b]) => Some(format!("(({a}) % ({b}))")),
        ("square", [x]) => Some(format!("(({x}) * ({x}))")),
        ("safe_divide", [a, b]) => Some(format!("(CAST({a} AS DOUBLE PRECISION) / nullif({b}, 0))")),
        ("div0", [a, b]) => Some(format!(
            "CASE WHEN ({b}) = 0 AND ({a}) IS NOT NULL THEN 0 ELSE CAST({a} AS DOUBLE PRECISION) / ({b}) END"
        )),
        ("zeroifnull", [value]) => Some(format!("coalesce({value}, 0)")),
        ("nullifzero", [value]) => Some(format!("nullif({value}, 0)")),
        ("decode", [value, rest @ ..]) if rest.len() >= 2 => {
            let mut text = "CASE".to_owned();
            let mut pairs = rest.chunks_exact(2);
            for pair in pairs.by_ref() {
                let [equal, then] = pair else { return None };
                text += &format!(" WHEN {value} IS NOT DISTINCT FROM {equal} THEN {then}");
            }
            if let [otherwise] = pairs.remainder() {
                text += &format!(" ELSE {otherwise}");
            }
            Some(text + " END")
        }
        // The bucket of equal width that a value falls into; 0 below the first, one more than there are above the last.
        ("width_bucket", [value, low, high, count]) => Some(format!(
            "CASE WHEN ({value}) < ({low}) THEN 0 WHEN ({value}) >= ({high}) THEN ({count}) + 1 ELSE \
             CAST(floor((CAST({value} AS DOUBLE PRECISION) - ({low})) * ({count}) / (({high}) - ({low}))) AS BIGINT) + 1 END"
        )),
        // Between which of some bounds it lies; 0 below the first.
        ("width_bucket", [value, Expr::Array(bounds)]) if !bounds.elem.is_empty() => {
            let below: Vec<String> =
                bounds.elem.iter().zip(0..).map(|(bound, n)| format!("WHEN ({value}) < ({bound}) THEN {n}")).collect();
            Some(format!("CASE {} WHEN ({value}) IS NOT NULL THEN {} END", below.join(" "), bounds.elem.len()))
        }
        _ => None,
    }
}

/// NUMERIC is as wide as its values are: here a double, rounded to the wanted places. FLOAT is a double as well.
pub(super) fn cast(of: &Expr, to: &DataType) -> Option<String> {
    let places = match to {
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => match info {
            ExactNumberInfo::None => None,
            ExactNumberInfo::Precision(_) => Some(0),
            ExactNumberInfo::PrecisionAndScale(_, places) => Some(*places),
        },
        DataType::Float(_) => None,
        // The engine has texts of any length alone.
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::Nvarchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::Char(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::Character(Some(CharacterLength::IntegerLength { length, .. })) => {
            return Some(format!("left(CAST({of} AS VARCHAR), {length})"));
        }
        DataType::Interval { .. } => return Some(format!("INTERVAL '{}'", text_of(bare(of))?.replace('\'', "''"))),
        _ => return None,
    };
    let number = format!("CAST({of} AS DOUBLE PRECISION)");
    Some(match places {
        None => number,
        Some(places) => format!("round({number}, {places})"),
    })
}
