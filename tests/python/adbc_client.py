"""Can a stock Python client ask, list and be refused?

Usage: adbc_client.py CONNECT_JSON [SCHEMA]

Connects with the fields of connect.json as an analyst, through adbc-driver-flightsql and pyarrow alone.
Prints `N passed, 0 failed`; exit status 1 if anything failed.
"""

import json
import os
import sys
import traceback
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions

QUESTION = (
    "SELECT gender_concept_id, COUNT(*) AS n, AVG(year_of_birth) AS mean_year "
    "FROM {schema}.person GROUP BY gender_concept_id ORDER BY gender_concept_id"
)
BOUND_QUESTION = "SELECT COUNT(*) AS n FROM {schema}.person WHERE year_of_birth > ?"


class Enclave:
    """What connect.json says."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.fields = json.load(file)
        # A relative path in the file is relative to the file.
        ca = os.path.join(os.path.dirname(os.path.abspath(path)), self.fields["ca"])
        with open(ca, encoding="utf-8") as file:
            self.ca = file.read()
        self.analyst = next(a for a in self.fields["accounts"] if "analyst" in a["roles"])

    def connect(self, password=None, uri=None, trusted=True):
        """A connection as the analyst."""
        options = {
            DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true",
            "username": self.analyst["name"],
            "password": self.analyst["password"] if password is None else password,
        }
        if trusted:
            options[DatabaseOptions.TLS_ROOT_CERTS.value] = self.ca
        return flightsql.connect(uri or self.fields["flight"], db_kwargs=options, autocommit=True)


def refusal(work):
    """The error that this work must end in."""
    try:
        work()
    except adbc_driver_manager.Error as error:
        return error
    raise AssertionError("was not refused")


def code_of(error):
    """The stable code in an error's details."""
    details = dict(error.details or [])
    return details.get(b"sekisho-code", b"").decode()


def ask(connection, sql, parameters=None):
    """Through the DB-API, which always prepares."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def ask_unprepared(connection, sql):
    """Through the driver itself, which then sends the statement as it is."""
    with adbc_driver_manager.AdbcStatement(connection.adbc_connection) as statement:
        statement.set_sql_query(sql)
        stream, _ = statement.execute_query()
        return pa.RecordBatchReader.from_stream(stream).read_all()


def looks_like_an_answer(table):
    assert table.column_names[:3] == ["gender_concept_id", "n", "mean_year"], table.schema
    assert table.num_rows >= 1
    assert pa.types.is_integer(table.schema.field("n").type), table.schema


def set_permit(connection, enclave):
    if enclave.fields.get("permit"):
        ask(connection, f"SET sekisho.permit = '{enclave.fields['permit']}'")


def questions_are_answered_prepared_and_not(enclave, schema):
    with enclave.connect() as connection:
        set_permit(connection, enclave)
        prepared = ask(connection, QUESTION.format(schema=schema))
        looks_like_an_answer(prepared)
        direct = ask_unprepared(connection, QUESTION.format(schema=schema))
        looks_like_an_answer(direct)
        # Asked before: the kept answer, the same values.
        assert direct.equals(prepared), (direct, prepared)


def a_parameter_is_bound(enclave, schema):
    with enclave.connect() as connection:
        set_permit(connection, enclave)
        table = ask(connection, BOUND_QUESTION.format(schema=schema), (1980,))
        assert table.num_rows == 1, table
        assert pa.types.is_integer(table.schema.field("n").type), table.schema


def several_rows_of_parameters_are_refused(enclave, schema):
    with enclave.connect() as connection:
        set_permit(connection, enclave)
        rows = pa.record_batch([pa.array([1980, 1990])], names=["0"])
        error = refusal(lambda: ask(connection, BOUND_QUESTION.format(schema=schema), rows))
        assert code_of(error) == "too_complex", (error, error.details)


def settings_are_made_by_set_and_by_session_options(enclave, schema):
    del schema
    with enclave.connect() as connection:
        ask(connection, "SET sekisho.epsilon = 0.01")
        options = connection.adbc_connection
        key = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
        assert float(options.get_option(key + "sekisho.epsilon")) == 0.01
        options.set_options(**{key + "sekisho.epsilon": "0.02"})
        assert float(options.get_option(key + "sekisho.epsilon")) == 0.02
        with connection.cursor() as cursor:
            # Whoever wants no rows of it fetches none: it holds all the same.
            cursor.execute("SET sekisho.epsilon = 0.03")
        assert float(options.get_option(key + "sekisho.epsilon")) == 0.03
        refusal(lambda: options.set_options(**{key + "datafusion.execution.batch_size": "1"}))
        error = refusal(lambda: ask(connection, "SET datafusion.execution.batch_size = 1"))
        assert code_of(error) in {"unknown_setting", "not_a_question"}, (error, error.details)


def a_setting_in_a_header_holds_for_its_call(enclave, schema):
    with enclave.connect() as connection:
        set_permit(connection, enclave)
        with adbc_driver_manager.AdbcStatement(connection.adbc_connection) as statement:
            statement.set_options(**{"adbc.flight.sql.rpc.call_header.x-sekisho-permit": "P-0000-none"})
            statement.set_sql_query(QUESTION.format(schema=schema))
            error = refusal(statement.execute_query)
        assert code_of(error) in {"permit_not_active", "no_permit"}, (error, error.details)
        looks_like_an_answer(ask_unprepared(connection, QUESTION.format(schema=schema)))


def the_catalogue_is_listed(enclave, schema):
    with enclave.connect() as connection:
        catalogs = connection.adbc_get_objects(depth="catalogs").read_all().to_pylist()
        assert [c["catalog_name"] for c in catalogs] == ["sekisho"], catalogs
        schemas = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
        names = [s["db_schema_name"] for s in schemas[0]["catalog_db_schemas"]]
        assert schema in names and f"{schema}_sample" in names, names
        tables = connection.adbc_get_objects(depth="tables", db_schema_filter=schema).read_all().to_pylist()
        listed = tables[0]["catalog_db_schemas"][0]["db_schema_tables"]
        assert "person" in [t["table_name"] for t in listed], listed
        everything = connection.adbc_get_objects(
            depth="all", db_schema_filter=schema, table_name_filter="per%"
        ).read_all().to_pylist()
        person = everything[0]["catalog_db_schemas"][0]["db_schema_tables"][0]
        columns = [c["column_name"] for c in person["table_columns"]]
        assert "gender_concept_id" in columns, columns
        described = connection.adbc_get_table_schema("person", db_schema_filter=schema)
        assert described.names == columns, (described, columns)
        assert "TABLE" in connection.adbc_get_table_types()


def the_server_says_what_it_is(enclave, schema):
    del schema
    with enclave.connect() as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Sekisho", info
        assert info["vendor_version"], info


def rows_about_persons_are_refused_with_code_and_fix(enclave, schema):
    with enclave.connect() as connection:
        set_permit(connection, enclave)
        for way in (ask, ask_unprepared):
            error = refusal(lambda way=way: way(connection, f"SELECT * FROM {schema}.person"))
            assert isinstance(error, adbc_driver_manager.Error), error
            assert error.status_code == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT, error
            assert code_of(error) == "rows_not_released", (error, error.details)
            assert "rows_not_released: " in str(error) and "GROUP BY" in str(error), error


def text_that_is_no_question_is_refused(enclave, schema):
    with enclave.connect() as connection:
        cases = {
            "this is not sql": {"not_sql"},
            f"DROP TABLE {schema}.person": {"not_a_question"},
            f"DELETE FROM {schema}.person": {"not_a_question"},
            "SELECT * FROM 'file.parquet'": {"unknown_table", "not_sql", "not_a_question"},
            f"COPY {schema}.person TO 'x.csv'": {"not_a_question", "not_sql"},
        }
        for sql, codes in cases.items():
            error = refusal(lambda sql=sql: ask(connection, sql))
            assert code_of(error) in codes, (sql, error, error.details)
            assert "DataFusion" not in str(error) and "Arrow" not in str(error), error


def nothing_is_ingested_and_no_transaction_begun(enclave, schema):
    with enclave.connect() as connection:
        with connection.cursor() as cursor:
            refusal(lambda: cursor.adbc_ingest("t", pa.table({"x": [1]}), mode="create"))
        with connection.cursor() as cursor:
            update = f"DELETE FROM {schema}.person"
            error = refusal(lambda: cursor.executescript(update))
            assert error.status_code == adbc_driver_manager.AdbcStatusCode.NOT_IMPLEMENTED, error
        refusal(lambda: connection.adbc_connection.set_autocommit(False))


def a_wrong_password_is_not_signed_in(enclave, schema):
    del schema
    error = refusal(lambda: enclave.connect(password="wrong"))
    assert error.status_code == adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, error
    assert "not_signed_in" in str(error), error


def plaintext_and_untrusted_connections_fail(enclave, schema):
    del schema
    plain = enclave.fields["flight"].replace("grpc+tls://", "grpc+tcp://")
    refusal(lambda: enclave.connect(uri=plain))
    refusal(lambda: enclave.connect(trusted=False))


STORIES = [
    questions_are_answered_prepared_and_not,
    a_parameter_is_bound,
    several_rows_of_parameters_are_refused,
    settings_are_made_by_set_and_by_session_options,
    a_setting_in_a_header_holds_for_its_call,
    the_catalogue_is_listed,
    the_server_says_what_it_is,
    rows_about_persons_are_refused_with_code_and_fix,
    text_that_is_no_question_is_refused,
    nothing_is_ingested_and_no_transaction_begun,
    a_wrong_password_is_not_signed_in,
    plaintext_and_untrusted_connections_fail,
]


def main():
    """Runs every story; one that fails does not hide the next."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    enclave = Enclave(sys.argv[1])
    schema = sys.argv[2] if len(sys.argv) == 3 else "demo"
    failed = 0
    for story in STORIES:
        try:
            story(enclave, schema)
            print(f"ok      {story.__name__}")
        except Exception:  # every kind of failure counts the same here
            failed += 1
            print(f"FAILED  {story.__name__}")
            traceback.print_exc()
    print(f"{len(STORIES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
