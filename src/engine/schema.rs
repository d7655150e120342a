//! Which Arrow schema does a table have that a question may read?

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::catalog::{Column, ColumnType, Table};

/// The queryable columns of a table, in the order of the catalogue.
#[must_use]
pub fn arrow_schema(table: &Table) -> Schema {
    Schema::new(table.queryable().map(arrow_field).collect::<Vec<_>>())
}

/// One column as Arrow sees it.
#[must_use]
pub fn arrow_field(column: &Column) -> Field {
    Field::new(&column.name, arrow_type(column.data_type), column.nullable)
}

/// One type as Arrow sees it.
#[must_use]
pub fn arrow_type(data_type: ColumnType) -> DataType {
    match data_type {
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Utf8 => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Boolean => DataType::Boolean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Model;

    #[test]
    fn the_schema_holds_what_may_be_asked_for_and_nothing_else() {
        let model = Model::builtin("omop-5.4").expect("built in");
        let schema = arrow_schema(model.table("person").expect("persons"));
        assert_eq!(schema.field(0), &Field::new("person_id", DataType::Int64, false));
        let birth = schema.field_with_name("birth_datetime").expect("queryable");
        assert_eq!(birth, &Field::new("birth_datetime", DataType::Timestamp(TimeUnit::Microsecond, None), true));
        assert!(schema.field_with_name("person_source_value").is_err());
    }
}
