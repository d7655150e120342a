"""What does OpenDP answer?

Usage: ask_opendp.py JOB OUT

A Context over a Polars frame with person_id as the identifier, so that the unit of privacy is a person. Two ways of
holding a session's total are weighed and the one whose noise is less at 95 % taken: pure ε with Laplace noise,
composed by adding, and zero-concentrated DP with Gaussian noise, whose ρ OpenDP itself translates from (ε, δ).
"""

import math
import sys
import warnings

import common

warnings.filterwarnings("ignore")

import opendp.prelude as dp  # noqa: E402
import polars as pl  # noqa: E402
from opendp.context import _translate_measure_distance  # noqa: E402

dp.enable_features("contrib", "honest-but-curious")

POPULATION_MAX = 100_000
NOISE = {"pure": "laplace", "zcdp": "gaussian (zCDP)"}
# One draw in twenty is further away than this, in scales.
P95 = {"pure": math.log(20), "zcdp": 1.959_964}


def main():
    job, out = common.job()
    frames = {
        table: pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
        for table, (columns, rows) in job.tables().items()
    }
    chosen = {}
    for session in job.sessions:
        shape = job.kinds[session["kind"]]
        frame = frames[shape["table"]]
        keys = keys_of(shape)
        way = (session["kind"], session["epsilon"], session["size"])
        if way not in chosen:
            chosen[way] = best(frame, shape, keys, session, job.delta)
        measure, scales = chosen[way]
        context = open_context(frame, shape, loss(measure, session["epsilon"], job.delta), session["size"])
        for first, end in session["questions"]:
            # A hair more noise than was found, so that the sum of the parts is never above the whole.
            query = question(context, shape, keys, first, end, [scale * (1 + 1e-6) for scale in scales])
            made = measurement(query)
            released = context(made).collect()
            out.answer(session, first, end, read(shape, released), NOISE[measure])


def loss(measure, epsilon, delta):
    if measure == "pure":
        return dp.loss_of(epsilon=float(epsilon))
    approximate, zcdp = dp.approximate(dp.max_divergence()), dp.zero_concentrated_divergence()
    return dp.loss_of(rho=_translate_measure_distance((float(epsilon), delta), approximate, zcdp))


def open_context(frame, shape, privacy_loss, size):
    unit = dp.unit_of(contributions=1, identifier=pl.col("person_id"))
    # Sums of floating-point numbers want a public bound on the rows of a group.
    margin = dp.polars.Margin(by=[pl.col(key) for key in shape["keys"]], max_length=POPULATION_MAX * shape["rows"])
    return dp.Context.compositor(
        data=frame.lazy(), privacy_unit=unit, privacy_loss=privacy_loss, split_evenly_over=size, margins=[margin]
    )


def best(frame, shape, keys, session, delta):
    """The measure whose draws are nearer at 95 %, with the scales that one question may have."""
    found = []
    for measure in ("pure", "zcdp"):
        context = open_context(frame, shape, loss(measure, session["epsilon"], delta), session["size"])
        first, end = session["questions"][0]
        query = question(context, shape, keys, first, end, None)
        scales = query.summarize()["scale"].to_list()
        found.append((scales[0] * P95[measure], measure, scales))
    _, measure, scales = min(found)
    return measure, scales


def measurement(query):
    """The query as a measurement with the scales that are already in it."""
    plan = object.__getattribute__(query, "polars_plan")
    inner = object.__getattribute__(query, "_query")
    domain, metric = inner._chain
    return dp.m.make_private_lazyframe(domain, metric, inner._output_measure, plan, global_scale=1.0)


def question(context, shape, keys, first, end, scales):
    query = context.query().filter((pl.col("event_day") >= first) & (pl.col("event_day") < end))
    by = shape["keys"]
    if shape["groups"] == 1:
        # Keys that are fixed per person: all rows of a person lie in one group.
        query = query.truncate_per_group(shape["rows"])
    else:
        # In 0.16.0 `truncate_num_groups(k)` keeps k − 1 groups and accounts for k; by two columns only "first" runs.
        query = query.truncate_per_group(shape["rows"], by=by).truncate_num_groups(shape["groups"] + 1, by=by, keep="first")
    return query.group_by(by).agg(*aggregates(shape, scales)).with_keys(keys)


def aggregates(shape, scales):
    """`scales`: of each draw; without them they are in the ratio of the sensitivities, and the context finds them."""
    if shape["aggregate"] == "count":
        return [dp.len(scale=scales and scales[0], signed=True)]
    if shape["aggregate"] == "sum":
        value = pl.col("value").fill_null(float(shape["low"])).fill_nan(float(shape["low"]))
        return [value.dp.sum((float(shape["low"]), float(shape["high"])), scale=scales and scales[0])]
    half = (shape["high"] - shape["low"]) / 2
    value = pl.col("centred").fill_null(0.0).fill_nan(0.0)
    total, rows = scales or (half, 1.0)
    return [value.dp.sum((-half, half), scale=total).alias("total"), dp.len(scale=rows, signed=True)]


def read(shape, released):
    answers = {}
    for row in released.iter_rows(named=True):
        key = tuple(row[k] for k in shape["keys"])
        if shape["aggregate"] == "mean":
            centre = (shape["low"] + shape["high"]) / 2
            answers[key] = centre + row["total"] / row["len"] if row["len"] else None
        else:
            answers[key] = row["len" if shape["aggregate"] == "count" else "value"]
    return answers


def keys_of(shape):
    keys = None
    for name, domain in zip(shape["keys"], shape["domains"]):
        column = pl.DataFrame({name: domain}, schema={name: pl.Int64})
        keys = column if keys is None else keys.join(column, how="cross")
    return keys


if __name__ == "__main__":
    sys.exit(main())
