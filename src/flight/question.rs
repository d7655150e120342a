//! How does a question travel between GetFlightInfo and DoGet?
//!
//! The ticket carries the question itself, text and parameters, and no authority. DoGet authenticates and passes the
//! same admission, so an altered or stolen ticket is merely another question asked by whoever brings it. Nothing has to
//! be kept, counted or swept for tickets that are never redeemed, and none is lost by a restart. It is not sealed:
//! there is nothing in it that its holder did not send.

use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, Ticket,
    sql::{CommandStatementQuery, ProstMessageExt, TicketStatementQuery},
};
use datafusion::arrow::{datatypes::Schema, ipc::writer::StreamWriter, record_batch::RecordBatch};
use prost::{Message, bytes::Bytes};

use super::{
    caller::Caller,
    outflow,
    parameters::read_parameters,
    words::{No, NotOffered},
};

/// What stands in the handle of a statement's ticket.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    sql: String,
    /// One row as an Arrow IPC stream; empty without parameters.
    #[prost(bytes = "bytes", tag = "2")]
    parameters: Bytes,
}

/// The text of a statement that asks for no transaction.
pub(super) fn text_of(statement: CommandStatementQuery) -> Result<String, No> {
    match statement.transaction_id {
        Some(id) if !id.is_empty() => Err(No::NotOffered(NotOffered::Transactions)),
        _ => Ok(statement.query),
    }
}

/// What the question would return, and the ticket that asks it.
pub(super) async fn info(
    caller: &Caller,
    sql: String,
    parameters: Option<&RecordBatch>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, No> {
    let schema = outflow::plain_schema(&caller.shape(&sql).await?.schema);
    let parameters = parameters.map(encode).transpose()?.unwrap_or_default();
    let statement_handle = Question { sql, parameters }.encode_to_vec().into();
    flight_info(&schema, TicketStatementQuery { statement_handle }.as_any().encode_to_vec().into(), descriptor)
}

/// The question in a ticket.
pub(super) fn redeem(ticket: TicketStatementQuery) -> Result<(String, Option<RecordBatch>), No> {
    let question = Question::decode(ticket.statement_handle).map_err(|_| No::malformed())?;
    let parameters = match question.parameters.is_empty() {
        true => None,
        false => Some(read_parameters(&question.parameters)?),
    };
    Ok((question.sql, parameters))
}

/// One endpoint, to be redeemed on the same connection; totals are never told, and the descriptor is the caller's own.
pub(super) fn flight_info(schema: &Schema, ticket: Bytes, descriptor: FlightDescriptor) -> Result<FlightInfo, No> {
    let endpoint = FlightEndpoint { ticket: Some(Ticket { ticket }), ..FlightEndpoint::default() };
    Ok(FlightInfo {
        schema: outflow::schema_bytes(schema)?,
        flight_descriptor: Some(descriptor),
        endpoint: vec![endpoint],
        total_records: -1,
        total_bytes: -1,
        ordered: true,
        app_metadata: Bytes::new(),
    })
}

/// A `SET` is done as soon as it is asked for; anything else waits for DoGet.
pub(super) async fn set(caller: &Caller, sql: String) -> Result<(), No> {
    match begins_with_set(&sql) {
        true => caller.answer(sql, None).await.map(|_| ()).map_err(No::from),
        false => Ok(()),
    }
}

/// Some clients send `SET` as an update: that alone is passed on, and the gateway judges what is set.
pub(super) async fn update(caller: &Caller, sql: String) -> Result<i64, No> {
    if !begins_with_set(&sql) {
        return Err(No::NotOffered(NotOffered::Updates));
    }
    caller.answer(sql, None).await?;
    Ok(0)
}

fn begins_with_set(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        let after = match rest {
            line if line.starts_with("--") => line.split_once('\n'),
            block if block.starts_with("/*") => block.split_once("*/"),
            _ => break,
        };
        let Some((_, after)) = after else { return false };
        rest = after.trim_start();
    }
    rest.split_once(char::is_whitespace).is_some_and(|(word, _)| word.eq_ignore_ascii_case("set"))
}

fn encode(parameters: &RecordBatch) -> Result<Bytes, No> {
    let mut writer = StreamWriter::try_new(Vec::new(), &parameters.schema()).map_err(|_| No::failed())?;
    writer.write(parameters).map_err(|_| No::failed())?;
    Ok(writer.into_inner().map_err(|_| No::failed())?.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_ticket_brings_back_text_and_parameters() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![40]));
        let row = RecordBatch::try_from_iter([("1", column)]).unwrap();
        let question = Question { sql: "SELECT $1".into(), parameters: encode(&row).unwrap() };
        let ticket = TicketStatementQuery { statement_handle: question.encode_to_vec().into() };
        let (sql, parameters) = redeem(ticket).unwrap();
        assert_eq!(sql, "SELECT $1");
        assert_eq!(parameters, Some(row));
    }

    #[test]
    fn a_tampered_ticket_is_malformed_and_not_a_crash() {
        for handle in [&b"\xff\xff"[..], b"\x12\x04junk"] {
            assert!(redeem(TicketStatementQuery { statement_handle: handle.to_vec().into() }).is_err());
        }
    }

    #[test]
    fn set_alone_passes_as_an_update() {
        for yes in ["SET sekisho.permit = 'P-1'", " set x = 1", "-- a\n /* b */ Set\tx=1"] {
            assert!(begins_with_set(yes), "{yes}");
        }
        for no in ["SETTINGS", "set", "INSERT INTO t SELECT 1", "-- set x = 1", "/* set", "", "SELECT 'set x'"] {
            assert!(!begins_with_set(no), "{no}");
        }
    }
}
