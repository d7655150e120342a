//! What does the server say of itself and of its types?

use arrow_flight::sql::{
    CommandGetSqlInfo, CommandGetXdbcTypeInfo, Nullable, Searchable, SqlInfo, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, XdbcDataType,
    metadata::{SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoDataBuilder},
};
use datafusion::arrow::{datatypes::DataType, record_batch::RecordBatch};

use super::words::No;

/// The answers to GetSqlInfo; numbers that are not known here are left out, as the protocol wants.
pub(super) fn server(asked: &CommandGetSqlInfo) -> Result<RecordBatch, No> {
    let mut facts = SqlInfoDataBuilder::new();
    facts.append(SqlInfo::FlightSqlServerName, "Sekisho");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    facts.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    facts.append(SqlInfo::FlightSqlServerReadOnly, true);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    facts.append(SqlInfo::FlightSqlServerCancel, false);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    facts.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    facts.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    facts.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    facts.append(SqlInfo::SqlDdlCatalog, false);
    facts.append(SqlInfo::SqlDdlSchema, false);
    facts.append(SqlInfo::SqlDdlTable, false);
    let folded = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    facts.append(SqlInfo::SqlIdentifierCase, i64::from(folded));
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let kept = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    facts.append(SqlInfo::SqlQuotedIdentifierCase, i64::from(kept));
    facts.append(SqlInfo::SqlAllTablesAreSelectable, false);
    facts.append(SqlInfo::SqlSupportsColumnAliasing, true);
    facts.append(SqlInfo::SqlNullPlusNullIsNull, true);
    facts.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    facts.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    facts.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    facts.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    facts.append(SqlInfo::SqlSchemaTerm, "schema");
    facts.append(SqlInfo::SqlCatalogTerm, "catalog");
    facts.append(SqlInfo::SqlCatalogAtStart, true);
    facts.append(SqlInfo::SqlSelectForUpdateSupported, false);
    facts.append(SqlInfo::SqlStoredProceduresSupported, false);
    facts.append(SqlInfo::SqlTransactionsSupported, false);
    facts.append(SqlInfo::SqlBatchUpdatesSupported, false);
    facts.append(SqlInfo::SqlSavepointsSupported, false);
    facts.append(SqlInfo::SqlNamedParametersSupported, false);
    let facts = facts.build().map_err(|_| No::failed())?;
    asked.clone().into_builder(&facts).build().map_err(|_| No::failed())
}

/// The types that columns have.
pub(super) fn types(asked: &CommandGetXdbcTypeInfo) -> Result<RecordBatch, No> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    let quote = Some("'");
    for (name, kind, size, quote) in [
        ("BIGINT", XdbcDataType::XdbcBigint, Some(64), None),
        ("DOUBLE", XdbcDataType::XdbcDouble, Some(64), None),
        ("VARCHAR", XdbcDataType::XdbcVarchar, None, quote),
        ("DATE", XdbcDataType::XdbcDate, None, quote),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, None, quote),
        ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None),
    ] {
        let number = matches!(kind, XdbcDataType::XdbcBigint | XdbcDataType::XdbcDouble);
        types.append(XdbcTypeInfo {
            type_name: name.into(),
            data_type: kind,
            column_size: size,
            literal_prefix: quote.map(Into::into),
            literal_suffix: quote.map(Into::into),
            create_params: None,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: kind == XdbcDataType::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some(name.into()),
            minimum_scale: None,
            maximum_scale: None,
            sql_data_type: kind,
            datetime_subcode: None,
            num_prec_radix: number.then_some(2),
            interval_precision: None,
        });
    }
    let types = types.build().map_err(|_| No::failed())?;
    (*asked).into_builder(&types).build().map_err(|_| No::failed())
}

/// The SQL name of an Arrow type.
pub(super) fn type_name(arrow: &DataType) -> &'static str {
    match arrow {
        DataType::Boolean => "BOOLEAN",
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "DOUBLE",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Timestamp(..) => "TIMESTAMP",
        whole if whole.is_integer() => "BIGINT",
        DataType::Decimal128(..) | DataType::Decimal256(..) => "DECIMAL",
        _ => "VARCHAR",
    }
}
