"""Does every call of the Flight protocol pass the same door?

Usage: flight_calls.py CONNECT_JSON [SCHEMA]

Speaks plain Flight through pyarrow with hand-written messages: what no well-behaved driver sends is sent too.
Prints `N passed, 0 failed`; exit status 1 if anything failed.
"""

import json
import os
import sys
import traceback

import pyarrow as pa
import pyarrow.flight as flight

SQL = "type.googleapis.com/arrow.flight.protocol.sql."
# Words of the libraries under the server: none of them may reach a client.
FOREIGN_WORDS = ("DecodeError", "ParseError", "tonic", "prost", "DataFusion", "Arrow error", ".rs:", "panicked", "h2 ")


def varint(number):
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(tag, value):
    """One protobuf field: text and bytes by length, integers as varints."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(value)) + value


def command(name, *fields):
    """A Flight SQL command in its `Any`."""
    return field(1, SQL + name) + field(2, b"".join(field(tag, value) for tag, value in fields))


class Enclave:
    """What connect.json says, and a signed-in connection."""

    def __init__(self, path, schema):
        with open(path, encoding="utf-8") as file:
            self.fields = json.load(file)
        ca = os.path.join(os.path.dirname(os.path.abspath(path)), self.fields["ca"])
        with open(ca, "rb") as file:
            self.ca = file.read()
        self.schema = schema
        self.analyst = next(a for a in self.fields["accounts"] if "analyst" in a["roles"])
        self.client = flight.connect(self.fields["flight"], tls_root_certs=self.ca)
        self.token = self.sign_in(self.client)
        if self.fields.get("permit"):
            self.table(command("CommandStatementQuery", (1, f"SET sekisho.permit = '{self.fields['permit']}'")))

    def sign_in(self, client, password=None):
        return client.authenticate_basic_token(self.analyst["name"], password or self.analyst["password"])

    def options(self, *headers, token=None):
        return flight.FlightCallOptions(headers=[token or self.token, *headers], timeout=60)

    def info(self, body, *headers):
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(body), self.options(*headers))

    def table(self, body, *headers):
        info = self.info(body, *headers)
        return self.client.do_get(info.endpoints[0].ticket, self.options(*headers)).read_all()

    def act(self, name, body=b"", token=None):
        action = flight.Action(name, body)
        return [r.body.to_pybytes() for r in self.client.do_action(action, self.options(token=token))]


def refusal(work, *expected):
    """The error that this work must end in, in our words alone."""
    try:
        work()
    except (flight.FlightError, pa.ArrowException, OSError, NotImplementedError) as error:
        text = str(error)
        assert not any(word in text for word in FOREIGN_WORDS), text
        assert not expected or any(code in text for code in expected), text
        return text
    raise AssertionError("was not refused")


QUESTION = (
    "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS mean_year FROM {}.person GROUP BY gender_concept_id"
)


def an_answer_carries_its_receipt_and_half_widths(enclave):
    body = command("CommandStatementQuery", (1, QUESTION.format(enclave.schema)))
    info = enclave.info(body)
    assert (info.total_records, info.total_bytes) == (-1, -1), "totals tell about the data"
    table = enclave.client.do_get(info.endpoints[0].ticket, enclave.options()).read_all()
    assert table.schema.remove_metadata().equals(info.schema.remove_metadata()), (table.schema, info.schema)
    assert b"sekisho.receipt" in table.schema.metadata, table.schema.metadata
    assert b"sekisho.receipt" not in (info.schema.metadata or {}), "there is no receipt before the answer"
    assert float(table.schema.field("n").metadata[b"sekisho.half_width_95"]) > 0, table.schema


def a_schema_is_told_without_asking(enclave):
    body = command("CommandStatementQuery", (1, QUESTION.format(enclave.schema)))
    descriptor = flight.FlightDescriptor.for_command(body)
    schema = enclave.client.get_schema(descriptor, enclave.options()).schema
    assert schema.names[:3] == ["gender_concept_id", "n", "mean_year"], schema


def keys_and_types_are_listed(enclave):
    keys = enclave.table(command("CommandGetPrimaryKeys", (1, "sekisho"), (2, enclave.schema), (3, "person")))
    assert keys.column("column_name").to_pylist() == ["person_id"], keys
    assert keys.column("key_sequence").to_pylist() == [1], keys
    for name in ("CommandGetExportedKeys", "CommandGetImportedKeys", "CommandGetCrossReference"):
        foreign = enclave.table(command(name, (3, "person")))
        assert foreign.num_rows == 0 and foreign.num_columns == 13, foreign
    types = enclave.table(command("CommandGetXdbcTypeInfo"))
    assert {"BIGINT", "DOUBLE", "VARCHAR", "DATE"} <= set(types.column("type_name").to_pylist()), types
    schemas = enclave.table(command("CommandGetDbSchemas", (2, enclave.schema + "%")))
    assert enclave.schema in schemas.column("db_schema_name").to_pylist(), schemas
    tables = enclave.table(command("CommandGetTables", (2, enclave.schema), (3, "per%"), (5, 1)))
    assert tables.column("table_name").to_pylist() == ["person"], tables
    described = pa.ipc.read_schema(pa.py_buffer(tables.column("table_schema")[0].as_py()))
    assert "gender_concept_id" in described.names, described


def what_is_not_offered_says_so(enclave):
    for name in ("CommandStatementSubstraitPlan", "CommandStatementIngest", "CommandStatementUpdate", "Nonsense"):
        refusal(lambda name=name: enclave.info(command(name)), "not_offered")
    for name in ("BeginTransaction", "EndTransaction", "BeginSavepoint", "CreatePreparedSubstraitPlan", "Nonsense"):
        refusal(lambda name=name: enclave.act(name), "not_offered")
    refusal(lambda: list(enclave.client.list_flights(options=enclave.options())), "not_offered")

    def put(name, *fields):
        descriptor = flight.FlightDescriptor.for_command(command(name, *fields))
        writer, reader = enclave.client.do_put(descriptor, pa.schema([("x", pa.int64())]), enclave.options())
        with writer:
            writer.write_batch(pa.record_batch([pa.array([1])], names=["x"]))
            writer.done_writing()
            reader.read()

    refusal(lambda: put("CommandStatementIngest", (2, "t")), "not_offered")
    refusal(lambda: put("CommandStatementUpdate", (1, "DELETE FROM person")), "not_offered")
    put("CommandStatementUpdate", (1, "SET sekisho.epsilon = 0.01"))


def malformed_messages_get_our_words(enclave):
    for body in (b"", b"\xff\xff\xff", field(1, SQL + "CommandStatementQuery") + field(2, b"\xff\xff"), b"x" * 1000):
        refusal(lambda body=body: enclave.info(body), "not_a_question", "not_offered")
        ticket = flight.Ticket(body)
        refusal(lambda ticket=ticket: enclave.client.do_get(ticket, enclave.options()).read_all(), "not_a_question", "not_offered")
        refusal(lambda body=body: enclave.act("CreatePreparedStatement", body), "not_a_question")
    refusal(lambda: enclave.act("sekisho.budget.show", b"{not json"), "not_a_question")
    refusal(lambda: enclave.info(command("CommandPreparedStatementQuery", (1, b"nobody's handle"))), "not_a_question")
    refusal(lambda: enclave.info(command("CommandStatementQuery", (1, "SELECT " + " " * (20 << 20)))), "too_complex")


def a_forged_ticket_is_judged_like_any_question(enclave):
    forged = command("TicketStatementQuery", (1, field(1, f"SELECT * FROM {enclave.schema}.person")))
    ticket = flight.Ticket(forged)
    refusal(lambda: enclave.client.do_get(ticket, enclave.options()).read_all(), "rows_not_released")


def nobody_passes_without_a_token(enclave):
    stranger = flight.connect(enclave.fields["flight"], tls_root_certs=enclave.ca)
    body = command("CommandGetTables")
    descriptor = flight.FlightDescriptor.for_command(body)
    name, value = enclave.token
    tampered = value[:-1] + (b"0" if value[-1:] != b"0" else b"1")
    for headers in ([], [(b"authorization", b"Bearer ")], [(name, tampered)], [(b"authorization", b"Basic eDp5")]):
        options = flight.FlightCallOptions(headers=headers, timeout=60)
        schema = pa.schema([("x", pa.int64())])
        calls = [
            lambda options=options: stranger.get_flight_info(descriptor, options),
            lambda options=options: stranger.get_schema(descriptor, options),
            lambda options=options: stranger.do_get(flight.Ticket(body), options).read_all(),
            lambda options=options: list(stranger.do_action(flight.Action("CloseSession", b""), options)),
            lambda options=options: list(stranger.list_actions(options)),
            lambda options=options: list(stranger.list_flights(options=options)),
            lambda options=options: finish(stranger.do_put(descriptor, schema, options)),
            lambda options=options: finish(stranger.do_exchange(descriptor, options)),
        ]
        for call in calls:
            refusal(call, "not_signed_in")
    refusal(lambda: enclave.sign_in(stranger, password="wrong"), "not_signed_in")
    refusal(lambda: enclave.sign_in(stranger, password="x" * 8000), "not_signed_in")


def finish(streams):
    writer, reader = streams
    writer.done_writing()
    reader.read() if hasattr(reader, "read") else reader.read_all()
    writer.close()


class OlderHandshake(flight.ClientAuthHandler):
    """Credentials in the payload, the token in `auth-token-bin`: how clients did it before."""

    def __init__(self, name, password):
        super().__init__()
        self.credentials = field(2, name) + field(3, password)
        self.token = b""

    def authenticate(self, outgoing, incoming):
        outgoing.write(self.credentials)
        self.token = incoming.read()

    def get_token(self):
        return self.token


def older_clients_sign_in_too(enclave):
    client = flight.connect(enclave.fields["flight"], tls_root_certs=enclave.ca)
    client.authenticate(OlderHandshake(enclave.analyst["name"], enclave.analyst["password"]))
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command("CommandGetCatalogs")))
    assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 1
    handler = OlderHandshake(enclave.analyst["name"], "wrong")
    refusal(lambda: client.authenticate(handler), "not_signed_in")


def handles_belong_to_their_session(enclave):
    made = enclave.act("CreatePreparedStatement", command("ActionCreatePreparedStatementRequest", (1, QUESTION.format(enclave.schema))))
    handle = made[0][made[0].index(b"Result\x12") + 9 :][2:18]
    mine = command("CommandPreparedStatementQuery", (1, handle))
    assert enclave.table(mine).num_rows >= 1
    other = enclave.sign_in(flight.connect(enclave.fields["flight"], tls_root_certs=enclave.ca))
    descriptor = flight.FlightDescriptor.for_command(mine)
    refusal(lambda: enclave.client.get_flight_info(descriptor, enclave.options(token=other)), "not_a_question")
    enclave.act("ClosePreparedStatement", command("ActionClosePreparedStatementRequest", (1, handle)))
    refusal(lambda: enclave.table(mine), "not_a_question")


def prepared_statements_are_bounded(enclave):
    token = enclave.sign_in(flight.connect(enclave.fields["flight"], tls_root_certs=enclave.ca))
    body = command("ActionCreatePreparedStatementRequest", (1, f"SELECT COUNT(*) FROM {enclave.schema}_sample.person"))

    def too_many():
        for _ in range(257):
            enclave.act("CreatePreparedStatement", body, token=token)

    refusal(too_many, "too_complex")


def cancelling_says_the_same_whatever_runs(enclave):
    body = command("CommandStatementQuery", (1, QUESTION.format(enclave.schema)))
    info = enclave.info(body).serialize()
    assert enclave.act("CancelFlightInfo", field(1, info)) == [b"\x08\x01"]
    refusal(lambda: enclave.act("CancelFlightInfo"), "not_a_question")
    names = [a.type for a in enclave.client.list_actions(enclave.options())]
    assert "CreatePreparedStatement" in names and "BeginTransaction" not in names, names


def a_closed_session_is_over(enclave):
    token = enclave.sign_in(flight.connect(enclave.fields["flight"], tls_root_certs=enclave.ca))
    assert enclave.act("CloseSession", token=token) == [b"\x08\x01"]
    refusal(lambda: enclave.act("GetSessionOptions", token=token), "not_signed_in")


STORIES = [
    an_answer_carries_its_receipt_and_half_widths,
    a_schema_is_told_without_asking,
    keys_and_types_are_listed,
    what_is_not_offered_says_so,
    malformed_messages_get_our_words,
    a_forged_ticket_is_judged_like_any_question,
    nobody_passes_without_a_token,
    older_clients_sign_in_too,
    handles_belong_to_their_session,
    prepared_statements_are_bounded,
    cancelling_says_the_same_whatever_runs,
    a_closed_session_is_over,
]


def main():
    """Runs every story; one that fails does not hide the next."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    enclave = Enclave(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "demo")
    failed = 0
    for story in STORIES:
        try:
            story(enclave)
            print(f"ok      {story.__name__}")
        except Exception:  # every kind of failure counts the same here
            failed += 1
            print(f"FAILED  {story.__name__}")
            traceback.print_exc()
    print(f"{len(STORIES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
