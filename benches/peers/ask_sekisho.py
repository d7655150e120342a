"""What does Sekisho answer?

Usage: ask_sekisho.py JOB OUT

Through the served gateway and a stock Flight SQL client, as an analyst, each session under a permit of its own whose cap is
the session's total. `sekisho.epsilon` is chosen so that the whole session fits (session.py has the formula).
"""

import sys

import adbc_driver_flightsql.dbapi as flightsql
import common
import session as asked
from adbc_driver_flightsql import DatabaseOptions


def main():
    job, out = common.job()
    options = {
        "username": job.enclave["user"],
        "password": job.enclave["password"],
        DatabaseOptions.TLS_ROOT_CERTS.value: job.enclave["ca"],
        DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true",
    }
    with flightsql.connect(job.enclave["url"], db_kwargs=options, autocommit=True) as connection:
        for session, permit in zip(job.sessions, job.enclave["permits"], strict=True):
            shape = job.kinds[session["kind"]]
            epsilon = asked.epsilon_of_one(session["epsilon"], job.delta, session["size"])
            settings = {"permit": f"'{permit}'", "epsilon": f"{epsilon:.12f}", "rows_per_group": shape["rows"]}
            settings["groups"] = shape["groups"]
            for name, value in settings.items():
                ask(connection, f"SET sekisho.{name} = {value}")
            how = ""
            for number, (first, end) in enumerate(session["questions"]):
                sql = asked.sekisho_sql(session["kind"], first, end)
                if number == 0:
                    how = noise(ask(connection, f"EXPLAIN {sql}").to_pylist(), shape)
                table = ask(connection, sql)
                columns = [column.to_pylist() for column in table.columns]
                out.answer(session, first, end, {tuple(row[:-1]): row[-1] for row in zip(*columns)}, how)


def noise(lines, shape):
    """The noise, after making sure that the gateway bounds a person as the others do."""
    for line in lines:
        bound = f"{shape['groups']} groups per person, {shape['rows']} rows per group"
        if bound not in line["bound"]:
            sys.exit(f"a person is bounded otherwise: {line['bound']}, not {bound}")
    return lines[0]["mechanism"].split(" ")[0]


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


main()
