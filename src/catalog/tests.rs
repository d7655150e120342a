//! Is every wrong model refused with file, line and reason, and are the built-in ones right?

use super::*;

/// A model that holds together; each test below spoils one line of it and marks the line where the fault must point.
const GOOD: &str = r#"name = "site"
version = 1
declared_by = "the custodian"

[code_list.ward]
en = "Wards"
ja = "病棟"
values = [
    { code = 1, en = "east", ja = "東" },
    { code = 0, en = "none", ja = "なし" },
]

[table.person]
kind = "unit"
owner = "person_id"
primary_key = ["person_id"]
one_row_per_person = true
rows_per_person_max = 1
en = "Persons"
ja = "本人"

[table.person.columns]
person_id = { type = "int64", class = "key", en = "Person", ja = "本人" }

[table.stay]
kind = "unit"
owner = "person_id"
primary_key = ["stay_id"]
event_date = "day"
rows_per_group = 4
en = "Stays"
ja = "滞在"

[table.stay.columns]
stay_id = { type = "int64", class = "key", en = "Stay", ja = "滞在" }
person_id = { type = "int64", class = "key", references = "person.person_id", en = "Person", ja = "本人" }
before = { type = "int64?", class = "key", references = "stay.stay_id", en = "Stay before", ja = "前の滞在" }
day = { type = "date", class = "clinical", dates = [2000-01-01, 2030-12-31], en = "Day", ja = "日" }
ward = { type = "int64", class = "clinical", code_list = "ward", outside = "zero", en = "Ward", ja = "病棟" }
kind = { type = "utf8?", class = "clinical", values = ["a", "b"], en = "Kind", ja = "種類" }
cost = { type = "float64?", class = "clinical", bounds = { lo = 0, hi = 100, grid = 0.5, because = "tariff" }, en = "Cost", ja = "費用" }
remark = { type = "utf8?", class = "identifier", en = "Remark", ja = "備考" }

[table.note]
kind = "refused"
refused_because = "free text"
en = "Notes"
ja = "記事"
"#;

fn good() -> Model {
    Model::from_toml("site.toml", GOOD).expect("the model that tests spoil holds together")
}

/// Reads GOOD with `old` replaced by `new`, in which `@` marks the line of the fault, and compares the fault.
fn refused(old: &str, new: &str, reason: Reason) {
    assert_eq!(GOOD.matches(old).count(), 1, "{old:?} names one place of the model");
    assert_eq!(new.matches('@').count(), 1, "one line of {new:?} is marked");
    let marked = GOOD.replace(old, new);
    let line = marked.split('@').next().map_or(0, |before| before.matches('\n').count() + 1);
    let expected = CatalogFault { file: "site.toml".to_owned(), line, reason };
    assert_eq!(Model::from_toml("site.toml", &marked.replace('@', "")), Err(expected));
}

const COST: &str = r#"bounds = { lo = 0, hi = 100, grid = 0.5, because = "tariff" }"#;
const WARD: &str = r#"code_list = "ward", outside = "zero""#;
const KIND: &str = r#"values = ["a", "b"]"#;
const DAYS: &str = "dates = [2000-01-01, 2030-12-31]";

#[test]
fn a_fault_reads_as_file_line_and_reason() {
    let fault = Model::from_toml("site.toml", &GOOD.replace(&format!(" {COST},"), "")).err();
    assert_eq!(fault, None, "bounds may be left to the analyst");
    let fault =
        Model::from_toml("site.toml", &GOOD.replace("hi = 100", "hi = -1")).map(|_| ()).map_err(|f| f.to_string());
    assert_eq!(fault, Err("site.toml:41: bounds of stay.cost: lo must be less than hi, both finite".to_owned()));
}

#[test]
fn what_is_not_toml_is_refused() {
    let fault = Model::from_toml("site.toml", "name = \"site\"\nversion = \n").expect_err("a value is missing");
    assert_eq!((fault.file.as_str(), fault.line), ("site.toml", 2));
    assert!(matches!(fault.reason, Reason::NotToml(_)), "{fault}");
}

#[test]
fn a_column_written_twice_is_refused() {
    let twice = GOOD.replace("\nremark =", "\nward =");
    let fault = Model::from_toml("site.toml", &twice).expect_err("ward is written twice");
    assert_eq!(fault.line, 42);
    assert_eq!(fault.reason, Reason::NotToml("duplicate key".to_owned()));
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    let unknown = |key: &str| Reason::UnknownKey(key.to_owned());
    refused("version = 1", "version = 1\n@colour = 2", unknown("colour"));
    refused("event_date =", "@eventdate =", unknown("eventdate"));
    refused("because = \"tariff\"", "@why = \"tariff\"", unknown("why"));
    refused("code = 1,", "@kode = 1,", unknown("kode"));
    refused(KIND, "@valeus = [\"a\"]", unknown("valeus"));
    refused("ja = \"病棟\"\nvalues", "ja = \"病棟\"\n@valus", unknown("valus"));
}

#[test]
fn unknown_words_are_refused_with_the_known_ones() {
    let word =
        |key, given: &str, allowed: &str| Reason::UnknownWord { key, given: given.into(), allowed: allowed.into() };
    refused(
        "cost = { type = \"float64?\"",
        "@cost = { type = \"decimal\"",
        word("type", "decimal", "int64, float64, utf8, date, timestamp, boolean"),
    );
    refused(
        "remark = { type = \"utf8?\", class = \"identifier\"",
        "@remark = { type = \"utf8?\", class = \"secret\"",
        word("class", "secret", "identifier, key, quasi, clinical"),
    );
    refused("kind = \"refused\"", "@kind = \"hidden\"", word("kind", "hidden", "unit, reference, public, refused"));
    refused("outside = \"zero\"", "@outside = \"drop\"", word("outside", "drop", "reject, null, zero"));
}

#[test]
fn values_of_the_wrong_sort_are_refused() {
    let wrong = |key: &str, expected| Reason::WrongSort { key: key.to_owned(), expected };
    refused("version = 1", "@version = \"1\"", wrong("version", "a whole number from 0 to 4294967295"));
    refused(
        "rows_per_group = 4",
        "@rows_per_group = -4",
        wrong("rows_per_group", "a whole number from 0 to 4294967295"),
    );
    refused("one_row_per_person = true", "@one_row_per_person = 1", wrong("one_row_per_person", "true or false"));
    refused("lo = 0", "@lo = \"zero\"", wrong("lo", "a number"));
    refused(
        "owner = \"person_id\"\nprimary_key = [\"stay_id\"]",
        "owner = \"person_id\"\n@primary_key = \"stay_id\"",
        wrong("primary_key", "a list of texts"),
    );
    let mixed = wrong("code", "whole numbers or texts throughout");
    refused("values = [\n    { code = 1,", "@values = [\n    { code = \"1\",", mixed);
}

#[test]
fn names_that_sql_would_have_to_quote_are_refused() {
    refused("remark = {", "@Remark = {", Reason::BadName("Remark".into()));
    refused("[table.note]", "[table.@\"my notes\"]", Reason::BadName("my notes".into()));
}

#[test]
fn missing_and_empty_texts_are_refused() {
    let missing = |place: &str, key| Reason::Missing { place: place.to_owned(), key };
    refused(
        "remark = { type = \"utf8?\", class = \"identifier\", en = \"Remark\", ja = \"備考\" }",
        "@remark = { type = \"utf8?\", class = \"identifier\", en = \"Remark\" }",
        missing("stay.remark", "ja"),
    );
    refused("en = \"Remark\", ", "@", missing("stay.remark", "en"));
    refused("en = \"Remark\"", "@en = \"  \"", Reason::Empty("en".into()));
    refused(
        "[table.note]\nkind = \"refused\"\nrefused_because = \"free text\"\nen = \"Notes\"",
        "[table.@note]\nkind = \"refused\"\nrefused_because = \"free text\"",
        missing("note", "en"),
    );
    refused("because = \"tariff\"", "@because = \"\"", Reason::Empty("because".into()));
    refused(", because = \"tariff\"", "@", missing("stay.cost", "bounds.because"));
    refused("[table.note]\nkind = \"refused\"", "[table.@note]", missing("note", "kind"));
    refused(
        "day = { type = \"date\", class = \"clinical\", ",
        "@day = { type = \"date\", ",
        missing("stay.day", "class"),
    );
}

#[test]
fn a_model_without_name_or_version_is_refused() {
    for (line, key) in [("name = \"site\"\n", "name"), ("version = 1\n", "version")] {
        let fault = Model::from_toml("site.toml", &GOOD.replace(line, "")).expect_err(key);
        assert_eq!(fault.reason, Reason::Missing { place: "the model".into(), key });
    }
}

#[test]
fn bounds_that_cannot_be_clamped_to_are_refused() {
    let at = || "stay.cost".to_owned();
    let bounds = |lo: &str, hi: &str, grid: &str| {
        format!("@bounds = {{ lo = {lo}, hi = {hi}, grid = {grid}, because = \"tariff\" }}")
    };
    refused(COST, &bounds("5", "5", "1"), Reason::BoundsReversed(at()));
    refused(COST, &bounds("9", "5", "1"), Reason::BoundsReversed(at()));
    refused(COST, &bounds("0", "inf", "1"), Reason::BoundsReversed(at()));
    refused(COST, &bounds("nan", "5", "1"), Reason::BoundsReversed(at()));
    refused(COST, &bounds("0", "5", "0"), Reason::GridNotPositive(at()));
    refused(COST, &bounds("0", "5", "-0.5"), Reason::GridNotPositive(at()));
    refused(COST, &bounds("0", "1e10", "1e-6"), Reason::GridTooFine(at()));
    refused(COST, &bounds("-1e10", "0", "1e-6"), Reason::GridTooFine(at()));
    refused(KIND, &format!("@{COST}"), Reason::BoundsOfWrongType("stay.kind".into()));
    let unsigned = GOOD.replace("declared_by = \"the custodian\"\n", "");
    let fault = Model::from_toml("site.toml", &unsigned).expect_err("nobody declared the bounds");
    assert_eq!(fault.reason, Reason::Missing { place: at(), key: "bounds.declared_by" });
}

#[test]
fn bounds_of_lengths_and_by_codes_are_for_columns_that_have_them() {
    let days = "after_event = { lo = 0, hi = 9, because = \"policy\" }";
    let by = |column: &str, list: &str| format!("bounds_by = {{ column = \"{column}\", code_list = \"{list}\" }}");
    let day = "day = { type = \"date\",";
    let lasting = GOOD.replace(day, &format!("{day} {days},"));
    let model = Model::from_toml("site.toml", &lasting).expect("a date has a length");
    let length = model.table("stay").and_then(|t| t.column("day")).and_then(|c| c.after_event.clone());
    assert_eq!(length.map(|bounds| (bounds.lo, bounds.hi)), Some((0.0, 9.0)));
    refused(COST, &format!("@{days}"), Reason::AfterEventOfWrongType("stay.cost".into()));
    refused(KIND, &format!("@{}", by("ward", "measured")), Reason::BoundsOfWrongType("stay.kind".into()));
    refused(COST, &format!("@{}", by("kind", "measured")), Reason::BoundsByNoCode("stay.cost".into()));
    let unknown = Reason::UnknownCodeList { place: "stay.cost".into(), list: "none".into() };
    refused(COST, &format!("@{}", by("ward", "none")), unknown);
    let measured = GOOD.replace(COST, &by("ward", "measured"));
    let model = Model::from_toml("site.toml", &measured).expect("bounds by ward");
    let cost = model.table("stay").and_then(|t| t.column("cost")).and_then(|c| c.bounds_by.clone());
    assert_eq!(cost.and_then(|by| by.each.get(&3_004_410).copied()), Some((0.0, 25.0)));
    let endless = lasting.replace("event_date = \"day\"\n", "");
    let fault = Model::from_toml("site.toml", &endless).expect_err("days after nothing");
    assert_eq!(fault.reason, Reason::AfterNoEvent("stay.day".into()));
}

#[test]
fn domains_of_another_type_or_with_doubles_are_refused() {
    refused(KIND, "@values = [1, 2]", Reason::DomainOfWrongType("stay.kind".into()));
    refused(WARD, "@values = [\"east\"]", Reason::DomainOfWrongType("stay.ward".into()));
    refused(DAYS, "@integer_range = [1, 31]", Reason::DomainOfWrongType("stay.day".into()));
    refused(KIND, "@values = [\"a\", \"a\"]", Reason::DuplicateValue { place: "stay.kind".into(), value: "a".into() });
    refused(WARD, "@values = [7, 0, 7]", Reason::DuplicateValue { place: "stay.ward".into(), value: "7".into() });
    refused(KIND, "@values = []", Reason::Empty("the list of values of stay.kind".into()));
    refused(WARD, "values = [0], @integer_range = [1, 2]", Reason::TwoDomains("stay.ward".into()));
    refused(WARD, "@integer_range = [5, 1]", Reason::BadRange("stay.ward".into()));
    refused(WARD, "@integer_range = [0, 9223372036854775807]", Reason::BadRange("stay.ward".into()));
    refused(
        WARD,
        "@code_list = \"wards\"",
        Reason::UnknownCodeList { place: "stay.ward".into(), list: "wards".into() },
    );
    let doubled = Reason::DuplicateValue { place: "code_list.ward".into(), value: "0".into() };
    refused("values = [\n    { code = 1,", "@values = [\n    { code = 0,", doubled);
}

#[test]
fn rules_for_values_outside_must_be_possible() {
    let impossible = |place: &str, rule, needs| Reason::OutsideImpossible { place: place.to_owned(), rule, needs };
    refused("outside = \"zero\"", "@outside = \"null\"", impossible("stay.ward", "null", "a nullable column"));
    refused(
        KIND,
        "values = [\"a\"], @outside = \"zero\"",
        impossible("stay.kind", "zero", "0 among the listed values"),
    );
    refused(COST, "@outside = \"null\"", Reason::OutsideOfNothing("stay.cost".into()));
}

#[test]
fn dates_and_lengths_must_be_there_and_fit() {
    refused(&format!(" {DAYS},"), "@", Reason::DatesMissing("stay.day".into()));
    refused(DAYS, "@dates = [2030-12-31, 2000-01-01]", Reason::BadDates("stay.day".into()));
    refused(DAYS, "@dates = [2030-12-31]", Reason::BadDates("stay.day".into()));
    refused(KIND, &format!("@{DAYS}"), Reason::BadDates("stay.kind".into()));
    refused(&format!(" {KIND},"), "@", Reason::LengthMissing("stay.kind".into()));
    refused(KIND, "@length_max = 0", Reason::BadLength("stay.kind".into()));
    refused(COST, "@length_max = 5", Reason::BadLength("stay.cost".into()));
}

#[test]
fn a_unit_table_needs_an_owner_that_names_one_person_in_every_row() {
    let stay = "kind = \"unit\"\nowner = \"person_id\"\nprimary_key = [\"stay_id\"]";
    let header = format!("[table.stay]\n{stay}");
    refused(
        &header,
        "[table.@stay]\nkind = \"unit\"\nprimary_key = [\"stay_id\"]",
        Reason::OwnerMissing("stay".into()),
    );
    let unknown = Reason::OwnerUnknown { table: "stay".into(), column: "patient_id".into() };
    refused(stay, "kind = \"unit\"\n@owner = \"patient_id\"\nprimary_key = [\"stay_id\"]", unknown);
    let owner = "person_id = { type = \"int64\", class = \"key\", references";
    let nullable = "@person_id = { type = \"int64?\", class = \"key\", references";
    refused(owner, nullable, Reason::OwnerNullable("stay".into()));
    let clinical = "@person_id = { type = \"int64\", class = \"clinical\", references";
    refused(owner, clinical, Reason::OwnerNotKey("stay".into()));
    let kept = "kind = \"refused\"\n@owner = \"person_id\"";
    refused("kind = \"refused\"", kept, Reason::OwnerOfNoPerson("note".into()));
}

#[test]
fn contribution_defaults_are_at_least_one_and_for_persons_only() {
    for key in ["rows_per_group", "rows_per_person_max", "groups", "distinct_values"] {
        refused("rows_per_group = 4", &format!("@{key} = 0"), Reason::Zero { table: "stay".into(), key });
        let free = format!("kind = \"refused\"\n@{key} = 4");
        refused("kind = \"refused\"", &free, Reason::NotForThisKind { table: "note".into(), key });
    }
    refused(
        "one_row_per_person = true\nrows_per_person_max = 1",
        "@one_row_per_person = true",
        Reason::OneRowMax("person".into()),
    );
}

#[test]
fn keys_must_name_columns_and_rows_that_are_there() {
    let no_column = |key, column: &str| Reason::NoSuchColumn { table: "stay".into(), key, column: column.into() };
    refused("event_date = \"day\"", "@event_date = \"date\"", no_column("event_date", "date"));
    refused("event_date = \"day\"", "@event_date = \"remark\"", no_column("event_date", "remark"));
    refused("event_date = \"day\"", "@event_date = \"ward\"", Reason::EventDateUnfit("stay".into()));
    refused("primary_key = [\"stay_id\"]", "@primary_key = [\"id\"]", no_column("primary_key", "id"));
    let to = |target: &str| format!("@references = \"{target}\"");
    let unknown = |target: &str| Reason::ReferenceUnknown { place: "stay.before".into(), target: target.into() };
    let link = "references = \"stay.stay_id\"";
    for target in ["visit.visit_id", "stay.number", "stay", "note.note_id"] {
        refused(link, &to(target), unknown(target));
    }
    let not_key = Reason::ReferenceNotKey { place: "stay.before".into(), target: "stay.person_id".into() };
    refused(link, &to("stay.person_id"), not_key);
    let ward = format!("{WARD}, @references = \"stay.stay_id\"");
    refused(WARD, &ward, Reason::ReferenceFromNoKey("stay.ward".into()));
}

#[test]
fn refused_tables_say_why_and_others_have_columns() {
    let note = "[table.note]\nkind = \"refused\"\nrefused_because = \"free text\"";
    refused(note, "[table.@note]\nkind = \"refused\"", Reason::RefusedBecause("note".into()));
    refused("event_date = \"day\"", "@refused_because = \"too long\"", Reason::RefusedBecause("stay".into()));
    refused(note, "[table.@note]\nkind = \"public\"", Reason::NoColumns("note".into()));
}

#[test]
fn examples_and_required_must_fit_the_column() {
    refused(KIND, "length_max = 5, @examples = [1]", Reason::BadExamples("stay.kind".into()));
    refused(COST, "@examples = []", Reason::BadExamples("stay.cost".into()));
    refused(&format!("{DAYS},"), &format!("{DAYS}, examples = [2000-01-01],@"), Reason::BadExamples("stay.day".into()));
    let owner = "stay_id = { type = \"int64\", class = \"key\",";
    refused(owner, &format!("@{owner} required = false,"), Reason::RequiredNotNull("stay.stay_id".into()));
}

#[test]
fn defaults_are_those_of_the_design() {
    let model = good();
    let stay = model.table("stay").expect("stay");
    assert_eq!((stay.rows_per_person_max, stay.rows_per_group, stay.groups, stay.distinct_values), (4096, 4, 8, 16));
    assert_eq!(stay.column("day").map(|day| day.outside), Some(OutsideRule::Reject));
    assert_eq!(stay.column("kind").map(|kind| kind.outside), Some(OutsideRule::Null));
    assert_eq!(stay.column("ward").map(|ward| ward.outside), Some(OutsideRule::Zero));
    assert_eq!(stay.column("ward").and_then(|ward| ward.domain.clone()), Some(Domain::Integers(vec![1, 0])));
    let rules: Vec<_> = stay.foreign_keys.iter().map(|key| (key.column.as_str(), key.missing)).collect();
    assert_eq!(rules, [("person_id", OutsideRule::Reject), ("before", OutsideRule::Null)]);
    let names: Vec<_> = stay.queryable().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        ["stay_id", "person_id", "before", "day", "ward", "kind", "cost"],
        "in order, without identifiers"
    );
}

#[test]
fn a_model_may_extend_a_built_in_one_and_change_single_columns() {
    let text = "name = \"ours\"\nversion = 2\nextends = \"omop-5.4\"\ndeclared_by = \"us\"\n\
        [table.episode]\nabsent = true\n\
        [table.measurement]\nrows_per_group = 2\n\
        [table.measurement.columns]\n\
        value_as_number = { type = \"float64?\", class = \"clinical\", bounds = { lo = 0, hi = 500, grid = 0.1, because = \"b\" }, en = \"v\", ja = \"v\" }\n";
    let model = Model::from_toml("ours.toml", text).expect("it extends omop-5.4");
    let base = Model::builtin("omop-5.4").expect("built in");
    assert!(model.table("episode").is_none());
    let (ours, theirs) = (model.table("measurement").expect("kept"), base.table("measurement").expect("kept"));
    assert_eq!((ours.rows_per_group, ours.groups), (2, theirs.groups));
    assert_eq!(ours.columns.len(), theirs.columns.len(), "the column keeps its place");
    assert_eq!(ours.column("value_as_number").and_then(|c| c.bounds.as_ref()).map(|b| b.hi), Some(500.0));
    assert_ne!(model.text_sha256, base.text_sha256);
}

#[test]
fn changes_to_what_is_not_there_are_refused_with_their_line() {
    let head = "name = \"ours\"\nversion = 2\nextends = \"omop-5.4\"\n";
    let nothing = |place: &str| Reason::NothingToChange { place: place.into() };
    let cases = [
        ("[table.labs]\nabsent = true\n", 5, nothing("labs")),
        ("[table.death]\ndrop = [\"death_hour\"]\n", 5, nothing("death.death_hour")),
        ("[table.death.rename]\ndeath_hour = \"hour\"\n", 5, nothing("death.death_hour")),
        ("[table.death.rename]\ndeath_date = \"Date\"\n", 5, Reason::BadName("Date".into())),
        (
            "[table.death.rename]\ndeath_datetime = \"death_date\"\n",
            5,
            Reason::DuplicateValue { place: "death".into(), value: "death_date".into() },
        ),
    ];
    for (text, line, reason) in cases {
        let fault = Model::from_toml("ours.toml", &format!("{head}{text}")).expect_err(text);
        assert_eq!(fault, CatalogFault { file: "ours.toml".into(), line, reason });
    }
    let fault = Model::from_toml("ours.toml", &head.replace("5.4", "9.9")).expect_err("no such model");
    assert_eq!((fault.line, fault.reason), (3, Reason::UnknownModel("omop-9.9".into())));
    // A fault that a change makes in a table of the extended model is shown in the file of that model.
    let broken = format!("{head}[table.provider]\nabsent = true\n");
    let fault = Model::from_toml("ours.toml", &broken).expect_err("others refer to provider");
    assert_eq!(fault.file, "catalog/omop-5.4.toml");
    assert!(matches!(fault.reason, Reason::ReferenceUnknown { .. }), "{fault}");
}

#[test]
fn a_file_of_the_enclave_goes_before_the_built_in_model() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(Model::load(folder.path(), "omop-5.4"), Model::builtin("omop-5.4"));
    let path = folder.path().join("site.toml");
    std::fs::write(&path, GOOD).expect("written");
    assert_eq!(Model::load(folder.path(), "site").map(|model| model.tables), Ok(good().tables));
    std::fs::write(folder.path().join("other.toml"), GOOD).expect("written");
    let fault = Model::load(folder.path(), "other").expect_err("it holds site");
    assert_eq!(fault.reason, Reason::NameDiffers { wanted: "other".into(), given: "site".into() });
    std::fs::write(folder.path().join("broken.toml"), [0xff, 0xfe]).expect("written");
    assert_eq!(Model::load(folder.path(), "broken").map_err(|fault| fault.reason), Err(Reason::Unreadable));
    for name in ["../site", "/etc/site", "", "absent"] {
        let fault = Model::load(folder.path(), name).expect_err(name);
        assert_eq!(fault.reason, Reason::UnknownModel(name.into()));
    }
}

fn builtin() -> Vec<Model> {
    Model::builtin_names().map(|name| Model::builtin(name).unwrap_or_else(|fault| panic!("{fault}"))).collect()
}

#[test]
fn every_table_of_the_standard_has_its_kind() {
    let unit = "person observation_period visit_occurrence visit_detail condition_occurrence drug_exposure \
        procedure_occurrence device_exposure measurement observation death specimen condition_era drug_era dose_era \
        payer_plan_period note";
    let public = "concept vocabulary domain concept_class concept_relationship relationship concept_synonym \
        concept_ancestor drug_strength";
    let refused = "source_to_concept_map note_nlp cost fact_relationship cohort cohort_definition metadata cdm_source";
    for model in builtin() {
        let kinds = [
            (unit, TableKind::Unit),
            ("care_site provider location", TableKind::Reference),
            (public, TableKind::Public),
            (refused, TableKind::Refused),
        ];
        for (names, kind) in kinds {
            for name in names.split_whitespace() {
                assert_eq!(model.table(name).map(|table| table.kind), Some(kind), "{} {name}", model.name);
            }
        }
    }
}

#[test]
fn no_free_text_or_source_value_of_the_standard_is_queryable() {
    for model in builtin() {
        for table in model.tables.values().filter(|table| table.kind != TableKind::Public) {
            for column in table.queryable() {
                let free = [
                    "_source_value",
                    "_source_id",
                    "value_as_string",
                    "sig",
                    "stop_reason",
                    "_datetime_text",
                    "address",
                    "zip",
                ];
                assert!(!free.iter().any(|end| column.name.ends_with(end)), "{}.{}", table.name, column.name);
                assert!(
                    !column.name.ends_with("event_id"),
                    "{}.{} may lead to another person",
                    table.name,
                    column.name
                );
            }
        }
    }
}

#[test]
fn every_number_of_a_row_in_the_standard_is_a_key() {
    for model in builtin() {
        for table in model.tables.values().filter(|table| matches!(table.kind, TableKind::Unit | TableKind::Reference))
        {
            for column in table.queryable().filter(|column| column.name.ends_with("_id")) {
                let concept = column.name.ends_with("concept_id");
                assert_eq!(column.class == ColumnClass::Key, !concept, "{}.{}", table.name, column.name);
            }
            let own = |column: &Column| table.primary_key.contains(&column.name);
            let linked = |column: &Column| table.foreign_keys.iter().any(|key| key.column == column.name);
            for column in table.columns.iter().filter(|column| column.class == ColumnClass::Key) {
                assert!(own(column) || linked(column), "{}.{} points nowhere", table.name, column.name);
            }
        }
    }
}

#[test]
fn every_unit_table_of_the_standard_but_person_has_an_event_date() {
    for model in builtin() {
        for table in model.tables.values().filter(|table| table.kind == TableKind::Unit && table.name != "person") {
            assert!(table.event_date.is_some(), "{}", table.name);
            assert_eq!(table.owner.as_deref(), Some("person_id"));
            assert!(table.foreign_keys.iter().any(|key| key.column == "person_id" && key.table == "person"));
        }
    }
}

#[test]
fn what_5_3_calls_otherwise_it_calls_otherwise() {
    let model = Model::builtin("omop-5.3").expect("built in");
    let visit = model.table("visit_occurrence").expect("visits");
    assert!(
        visit.column("admitting_source_concept_id").is_some() && visit.column("admitted_from_concept_id").is_none()
    );
    let detail = model.table("visit_detail").expect("details");
    assert!(detail.column("visit_detail_parent_id").is_some());
    assert!(
        detail.foreign_keys.iter().any(|key| key.column == "visit_detail_parent_id" && key.table == "visit_detail")
    );
    assert!(model.table("procedure_occurrence").is_some_and(|table| table.column("procedure_end_date").is_none()));
    assert!(model.table("episode").is_none());
}
