"""What does SmartNoise SQL answer?

Usage: ask_smartnoise.py JOB OUT

One PrivateReader a session. Its Laplace noise for counts and sums, which at every size here is far below its Gaussian,
and its heterogeneous odometer (Kairouz, Oh and Viswanath 2015, theorem 3.5) over the whole session. The ε of one draw is the
largest for which the odometer stays within the session's total. Each draw is pure, so all of δ goes to the composition:
the odometer takes half of the reader's δ for it, hence the 2. Rows are bounded by its own reservoir sample.
"""

import sqlite3
import sys
import warnings

import common

warnings.filterwarnings("ignore")

import snsql  # noqa: E402
from snsql.sql.odometer import OdometerHeterogeneous  # noqa: E402

DRAWS = {"count": 1, "sum": 1, "mean": 2}


def main():
    job, out = common.job()
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH ':memory:' AS peers")
    for table, (columns, rows) in job.tables().items():
        connection.execute(f"CREATE TABLE peers.{table} ({', '.join(columns)})")
        connection.executemany(f"INSERT INTO peers.{table} VALUES ({','.join('?' * len(columns))})", rows)
        connection.execute(f"CREATE INDEX peers.{table}_day ON {table} (event_day)")
    for session in job.sessions:
        shape = job.kinds[session["kind"]]
        draws = DRAWS[shape["aggregate"]] * session["size"]
        privacy = snsql.Privacy(epsilon=epsilon_of_draw(session["epsilon"], job.delta, draws), delta=2 * job.delta)
        reader = snsql.from_connection(connection, metadata=metadata(shape), privacy=privacy, engine="sqlite")
        for first, end in session["questions"]:
            rows = reader.execute(sql(shape, first, end))
            answers = {tuple(int(k) for k in row[:-1]): row[-1] for row in rows[1:]}
            if shape["aggregate"] == "mean":
                answers = {key: None if v is None else v + centre(shape) for key, v in answers.items()}
            out.answer(session, first, end, answers, "laplace")
        spent = reader.odometer.spent
        if spent[0] > session["epsilon"] * (1 + 1e-9) or spent[1] > job.delta * (1 + 1e-9) or reader.odometer.k != draws:
            sys.exit(f"the session took {spent} in {reader.odometer.k} draws, not within its total")


def epsilon_of_draw(epsilon, delta, draws):
    """The largest ε of a draw for which the odometer stays within (epsilon, delta)."""

    def spent(each):
        odometer = OdometerHeterogeneous(snsql.Privacy(epsilon=each, delta=2 * delta))
        for _ in range(draws):
            odometer.spend(snsql.Privacy(epsilon=each, delta=0.0))
        return odometer.spent[0]

    low, high = 0.0, epsilon
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) <= epsilon else (low, middle)
    return low


def centre(shape):
    return (shape["low"] + shape["high"]) / 2


def sql(shape, first, end):
    keys = ", ".join(shape["keys"])
    what = {"count": "COUNT(*)", "sum": "SUM(value)", "mean": "AVG(centred)"}[shape["aggregate"]]
    window = f"event_day >= {first} AND event_day < {end}"
    return f"SELECT {keys}, {what} AS v FROM peers.{shape['table']} WHERE {window} GROUP BY {keys}"


def metadata(shape):
    integer = {"type": "int"}
    table = {
        "row_privacy": False,
        # All rows of one person together: it knows no bound per group.
        "max_ids": shape["rows"] * shape["groups"],
        "sample_max_ids": True,
        # Groups that hold nobody are not shown whatever this says; with it on, small ones are hidden as well.
        "censor_dims": False,
        "clamp_counts": False,
        "clamp_columns": True,
        "person_id": {"type": "int", "private_id": True},
        "event_day": integer,
    }
    table.update({key: integer for key in shape["keys"]})
    if shape["aggregate"] == "sum":
        table["value"] = {"type": "float", "lower": float(shape["low"]), "upper": float(shape["high"])}
    if shape["aggregate"] == "mean":
        # A mean around the middle of its bounds, which halves the sensitivity of the sum and more.
        half = (shape["high"] - shape["low"]) / 2
        table["centred"] = {"type": "float", "lower": -half, "upper": half}
    return {"": {"peers": {shape["table"]: table}}}


main()
