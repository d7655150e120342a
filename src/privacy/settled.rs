//! Which scalar functions may a person's row pass through, and why not the others?
//!
//! Every function that the engine registers has one line; a test fails when one is missing. `sekisho catalog functions`
//! prints this table.

/// What was settled of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is called as it stands: control flow, which a wrapper would take apart, or one step that cannot fail on any
    /// value of the types here. Why, is in the note. Everything else is guarded.
    Total,
    /// It cannot fail after the rewrite that the note names, and is guarded besides.
    Rewritten,
    /// Rows on which it fails are NULL.
    Guarded,
    /// It is refused over persons' rows, for the reason in the note.
    Refused,
}

impl Verdict {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Rewritten => "rewritten",
            Self::Guarded => "guarded",
            Self::Refused => "refused",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// The function's own name; aliases share it.
    pub name: &'static str,
    /// What was settled.
    pub verdict: Verdict,
    /// The rewrite, the condition or the reason.
    pub note: &'static str,
}

const fn total(name: &'static str, note: &'static str) -> Settled {
    Settled { name, verdict: Verdict::Total, note }
}

const fn rewritten(name: &'static str, note: &'static str) -> Settled {
    Settled { name, verdict: Verdict::Rewritten, note }
}

const fn guarded(name: &'static str, note: &'static str) -> Settled {
    Settled { name, verdict: Verdict::Guarded, note }
}

const fn refused(name: &'static str, note: &'static str) -> Settled {
    Settled { name, verdict: Verdict::Refused, note }
}

const LISTS: &str = "lists and maps have no public length; join or group instead";
const TELLS: &str = "it tells about the engine or its files, not about the data";
const VOLATILE: &str = "it gives another value each time";
const GROWS: &str = "its output grows with a value";
const STRUCTS: &str = "structs, unions and metadata are no values of the tables here";
const BY_NAME: &str = "write CAST(x AS type)";
const DIGEST: &str = "a hash or code of a person's text is no statistic";
const OF_DAY: &str = "times of day are no type here; use date_part('hour', ...)";
const ADMISSION: &str = "admission replaces it by the data version's date";
const LITERAL: &str = "the pattern is a literal";
const BUILT: &str = "at most 4,096 bytes in one text";
// It starts again after each match, at worst at every byte: its time grows with the square of the text.
const ITERATES: &str = "the pattern is a literal, the text at most 256 bytes long";

/// All functions, by name.
pub const SETTLED: &[Settled] = &[
    rewritten("abs", "the least integer is NULL"),
    guarded("acos", "NULL outside -1 to 1"),
    guarded("acosh", "NULL below 1"),
    refused("array_add", LISTS),
    refused("array_any_match", LISTS),
    refused("array_any_value", LISTS),
    refused("array_append", LISTS),
    refused("array_avg", LISTS),
    refused("array_compact", LISTS),
    refused("array_concat", LISTS),
    refused("array_dims", LISTS),
    refused("array_distance", LISTS),
    refused("array_distinct", LISTS),
    refused("array_element", LISTS),
    refused("array_except", LISTS),
    refused("array_filter", LISTS),
    refused("array_first", LISTS),
    refused("array_has", LISTS),
    refused("array_has_all", LISTS),
    refused("array_has_any", LISTS),
    refused("array_intersect", LISTS),
    refused("array_length", LISTS),
    refused("array_max", LISTS),
    refused("array_min", LISTS),
    refused("array_ndims", LISTS),
    refused("array_normalize", LISTS),
    refused("array_pop_back", LISTS),
    refused("array_pop_front", LISTS),
    refused("array_position", LISTS),
    refused("array_positions", LISTS),
    refused("array_prepend", LISTS),
    refused("array_product", LISTS),
    refused("array_remove", LISTS),
    refused("array_remove_all", LISTS),
    refused("array_remove_n", LISTS),
    refused("array_repeat", LISTS),
    refused("array_replace", LISTS),
    refused("array_replace_all", LISTS),
    refused("array_replace_n", LISTS),
    refused("array_resize", LISTS),
    refused("array_reverse", LISTS),
    refused("array_scale", LISTS),
    refused("array_slice", LISTS),
    refused("array_sort", LISTS),
    refused("array_subtract", LISTS),
    refused("array_sum", LISTS),
    refused("array_to_string", LISTS),
    refused("array_transform", LISTS),
    refused("array_union", LISTS),
    refused("arrays_zip", LISTS),
    refused("arrow_cast", BY_NAME),
    refused("arrow_field", TELLS),
    refused("arrow_metadata", TELLS),
    refused("arrow_try_cast", BY_NAME),
    refused("arrow_typeof", TELLS),
    guarded("ascii", ""),
    guarded("asin", "NULL outside -1 to 1"),
    guarded("asinh", ""),
    guarded("atan", ""),
    guarded("atan2", ""),
    guarded("atanh", "NULL outside -1 to 1"),
    guarded("bit_length", ""),
    guarded("btrim", ""),
    refused("cardinality", LISTS),
    refused("cast_to_type", BY_NAME),
    guarded("cbrt", ""),
    total("ceil", "one step of floating-point arithmetic"),
    guarded("character_length", ""),
    guarded("chr", "NULL where no such character exists"),
    total("coalesce", "control flow: it becomes CASE"),
    guarded("concat", BUILT),
    guarded("concat_ws", BUILT),
    guarded("contains", ""),
    guarded("cos", ""),
    guarded("cosh", ""),
    refused("cosine_distance", LISTS),
    guarded("cot", ""),
    refused("current_date", ADMISSION),
    refused("current_time", ADMISSION),
    guarded("date_bin", "the stride is a literal"),
    guarded("date_part", "the part is a literal"),
    guarded("date_trunc", "the unit is a literal"),
    refused("decode", DIGEST),
    guarded("degrees", ""),
    refused("digest", DIGEST),
    refused("empty", LISTS),
    refused("encode", DIGEST),
    guarded("ends_with", ""),
    total("exp", "one step of floating-point arithmetic"),
    guarded("factorial", "NULL where it overflows"),
    refused("file_row_index", TELLS),
    guarded("find_in_set", ""),
    refused("flatten", LISTS),
    total("floor", "one step of floating-point arithmetic"),
    guarded("from_unixtime", "NULL outside the calendar"),
    guarded("gcd", "NULL where it overflows"),
    refused("generate_series", LISTS),
    refused("get_field", STRUCTS),
    total("greatest", "comparisons of values of one type"),
    guarded("initcap", BUILT),
    refused("inner_product", LISTS),
    refused("input_file_name", TELLS),
    total("isnan", "a test of the bits"),
    total("iszero", "a test of the bits"),
    guarded("lcm", "NULL where it overflows"),
    total("least", "comparisons of values of one type"),
    guarded("left", "the length is a literal"),
    refused("levenshtein", "its time grows with the product of two texts"),
    rewritten("ln", "NULL at zero and below"),
    guarded("log", "NULL where it does not exist"),
    rewritten("log10", "NULL at zero and below"),
    rewritten("log2", "NULL at zero and below"),
    guarded("lower", BUILT),
    guarded("lpad", "length, at most 1,024, and filling are literals"),
    guarded("ltrim", ""),
    refused("make_array", LISTS),
    guarded("make_date", "NULL where there is no such day"),
    refused("make_time", OF_DAY),
    refused("map", LISTS),
    refused("map_entries", LISTS),
    refused("map_extract", LISTS),
    refused("map_keys", LISTS),
    refused("map_values", LISTS),
    refused("md5", DIGEST),
    refused("blake2b", DIGEST),
    refused("blake2s", DIGEST),
    refused("blake3", DIGEST),
    refused("sha224", DIGEST),
    refused("sha256", DIGEST),
    refused("sha384", DIGEST),
    refused("sha512", DIGEST),
    refused("named_struct", STRUCTS),
    guarded("nanvl", ""),
    refused("now", ADMISSION),
    total("nullif", "control flow: one comparison of two values of one type"),
    total("nvl", "control flow: it becomes CASE"),
    total("nvl2", "control flow: it becomes CASE"),
    guarded("octet_length", ""),
    guarded("overlay", BUILT),
    total("pi", "a constant"),
    guarded("power", "NULL where it overflows"),
    guarded("radians", ""),
    refused("random", VOLATILE),
    refused("range", LISTS),
    guarded("regexp_count", ITERATES),
    guarded("regexp_instr", ITERATES),
    guarded("regexp_like", LITERAL),
    refused("regexp_match", "it gives a list; use regexp_like, regexp_count or regexp_replace"),
    guarded("regexp_replace", "pattern and replacement are literals; with the flag g of texts of at most 256 bytes"),
    refused("repeat", GROWS),
    guarded("replace", "both texts are literals; at most 4,096 bytes in one text"),
    guarded("reverse", ""),
    guarded("right", "the length is a literal"),
    guarded("round", ""),
    refused("row", STRUCTS),
    guarded("rpad", "length, at most 1,024, and filling are literals"),
    guarded("rtrim", ""),
    total("signum", "one step of floating-point arithmetic"),
    guarded("sin", ""),
    guarded("sinh", ""),
    guarded("split_part", "the place is a literal"),
    rewritten("sqrt", "NULL below zero"),
    guarded("starts_with", ""),
    refused("string_to_array", LISTS),
    guarded("strpos", ""),
    refused("struct", STRUCTS),
    guarded("substr", "start and length are literals, the length not negative"),
    guarded("substr_index", "the place is a literal"),
    guarded("tan", ""),
    guarded("tanh", ""),
    guarded("to_char", "the format is a literal"),
    guarded("to_date", "NULL where the text is no date"),
    guarded("to_hex", ""),
    refused("to_local_time", "time zones are not applied to stored times"),
    refused("to_time", OF_DAY),
    guarded("to_timestamp", "NULL where the text is no time"),
    guarded("to_timestamp_micros", "NULL outside the calendar"),
    guarded("to_timestamp_millis", "NULL outside the calendar"),
    guarded("to_timestamp_nanos", "NULL outside the calendar"),
    guarded("to_timestamp_seconds", "NULL outside the calendar"),
    guarded("to_unixtime", "NULL where the text is no time"),
    guarded("translate", "both lists are literals"),
    guarded("trunc", ""),
    refused("try_cast_to_type", BY_NAME),
    refused("union_extract", STRUCTS),
    refused("union_tag", STRUCTS),
    guarded("upper", BUILT),
    refused("uuid", VOLATILE),
    refused("version", TELLS),
    refused("with_metadata", STRUCTS),
];

/// What was settled of the function of this name.
#[must_use]
pub fn settled(name: &str) -> Option<&'static Settled> {
    SETTLED.iter().find(|line| line.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::execution::SessionStateDefaults;

    use super::*;

    #[test]
    fn every_function_that_the_engine_registers_is_settled() {
        let unsettled: BTreeSet<String> = SessionStateDefaults::default_scalar_functions()
            .iter()
            .map(|udf| udf.name().to_owned())
            .chain(crate::sql::vocabulary().scalars().iter().map(|udf| udf.name().to_owned()))
            .filter(|name| settled(name).is_none())
            .collect();
        assert!(unsettled.is_empty(), "settle these: {unsettled:?}");
    }

    #[test]
    fn every_line_stands_once_and_a_refusal_has_its_reason() {
        let names: BTreeSet<&str> = SETTLED.iter().map(|line| line.name).collect();
        assert_eq!(names.len(), SETTLED.len());
        let reasoned =
            |line: &Settled| !matches!(line.verdict, Verdict::Refused | Verdict::Total) || !line.note.is_empty();
        assert!(SETTLED.iter().all(reasoned));
    }

    #[test]
    fn few_functions_are_called_without_a_guard() {
        let unguarded: Vec<&str> = SETTLED.iter().filter(|l| l.verdict == Verdict::Total).map(|l| l.name).collect();
        let known = [
            "ceil", "coalesce", "exp", "floor", "greatest", "isnan", "iszero", "least", "nullif", "nvl", "nvl2", "pi",
            "signum",
        ];
        assert_eq!(unguarded, known);
    }
}
