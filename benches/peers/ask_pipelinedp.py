"""What does PipelineDP answer?

Usage: ask_pipelinedp.py JOB OUT naive|pld

The local backend, public partitions, its own contribution bounding. All questions of a session are declared before the
first is answered: its accountants know no other way. `naive` splits ε and δ evenly; `pld` is its accountant over privacy loss
distributions. Either takes the noise that is less at 95 %.
"""

import collections
import math
import sys

import common
import pipeline_dp
from pipeline_dp import budget_accounting

LAPLACE, GAUSSIAN = pipeline_dp.NoiseKind.LAPLACE, pipeline_dp.NoiseKind.GAUSSIAN
METRICS = {
    "count": pipeline_dp.Metrics.COUNT,
    "sum": pipeline_dp.Metrics.SUM,
    "mean": pipeline_dp.Metrics.MEAN,
}


class Pld(pipeline_dp.PLDBudgetAccountant):
    """The same accountant, which composes equal mechanisms in one step and remembers: the same figures, sooner."""

    _known = {}

    def _compose_distributions(self, noise_stddev):
        alike = collections.Counter((m.mechanism_spec.mechanism_type, m.sensitivity / m.weight) for m in self._mechanisms)
        composed = None
        for (kind, ratio), number in alike.items():
            one = next(
                m for m in self._mechanisms if (m.mechanism_spec.mechanism_type, m.sensitivity / m.weight) == (kind, ratio)
            )
            make = self._create_pld_for_gaussian if kind == budget_accounting.MechanismType.GAUSSIAN else None
            make = make or self._create_pld_for_laplace
            pld = make(noise_stddev, one).self_compose(number)
            composed = pld if composed is None else composed.compose(pld)
        return composed

    def _find_minimum_base_noise_std(self):
        key = (self._total_epsilon, self._total_delta)
        key += tuple((m.mechanism_spec.mechanism_type, m.sensitivity, m.weight) for m in self._mechanisms)
        if key not in self._known:
            self._known[key] = super()._find_minimum_base_noise_std()
        return self._known[key]


def main():
    accounting = sys.argv.pop()
    if accounting not in ("naive", "pld"):
        sys.exit("the accounting is naive or pld")
    job, out = common.job()
    tables = {}
    for name, (columns, rows) in job.tables().items():
        rows.sort(key=lambda row: row[columns.index("event_day")])
        tables[name] = (columns, rows)
    chosen = {}
    for session in job.sessions:
        shape = job.kinds[session["kind"]]
        columns, rows = tables[shape["table"]]
        way = (session["kind"], session["epsilon"], session["size"])
        if way not in chosen:
            widths = {noise: half_width(accounting, shape, session, job.delta, noise) for noise in (LAPLACE, GAUSSIAN)}
            chosen[way] = min(widths, key=widths.get)
        accountant, engine = begin(accounting, session, job.delta)
        results = []
        for first, end in session["questions"]:
            results.append(declare(engine, shape, chosen[way], window(columns, rows, first, end), columns))
        accountant.compute_budgets()
        for (first, end), result in zip(session["questions"], results):
            answers = {key: getattr(value, shape["aggregate"]) for key, value in result}
            out.answer(session, first, end, answers, chosen[way].value)


def begin(accounting, session, delta):
    make = Pld if accounting == "pld" else pipeline_dp.NaiveBudgetAccountant
    accountant = make(float(session["epsilon"]), delta)
    return accountant, pipeline_dp.DPEngine(accountant, pipeline_dp.LocalBackend())


def declare(engine, shape, noise, rows, columns):
    bounds = {"min_value": float(shape["low"]), "max_value": float(shape["high"])} if "low" in shape else {}
    parameters = pipeline_dp.AggregateParams(
        metrics=[METRICS[shape["aggregate"]]],
        noise_kind=noise,
        max_partitions_contributed=shape["groups"],
        max_contributions_per_partition=shape["rows"],
        **bounds,
    )
    person = columns.index("person_id")
    keys = [columns.index(key) for key in shape["keys"]]
    value = columns.index("value") if "value" in columns else None
    extractors = pipeline_dp.DataExtractors(
        privacy_id_extractor=lambda row: row[person],
        partition_extractor=lambda row: tuple(row[k] for k in keys),
        value_extractor=lambda row: 0.0 if value is None else row[value],
    )
    return engine.aggregate(rows, parameters, extractors, public_partitions=partitions(shape))


def partitions(shape):
    keys = [()]
    for domain in shape["domains"]:
        keys = [key + (value,) for key in keys for value in domain]
    return keys


def window(columns, rows, first, end):
    import bisect

    day = columns.index("event_day")
    return rows[bisect.bisect_left(rows, first, key=lambda r: r[day]) : bisect.bisect_left(rows, end, key=lambda r: r[day])]


def half_width(accounting, shape, session, delta, noise):
    """The 95 % half-width of the first draw of a session, at a sensitivity that is the same for both kinds of noise."""
    accountant, engine = begin(accounting, session, delta)
    columns = ["person_id", *shape["keys"], "event_day", "value"]
    for _ in range(session["size"]):
        declare(engine, shape, noise, [[0] * len(columns)], columns)
    accountant.compute_budgets()
    spec = accountant.mechanism_specs[0]
    if noise == LAPLACE:
        scale = spec.noise_standard_deviation / math.sqrt(2) if spec.standard_deviation_is_set else 1 / spec.eps
        return math.log(20) * scale * shape["groups"]
    deviation = spec.noise_standard_deviation if spec.standard_deviation_is_set else None
    deviation = deviation or pipeline_dp.dp_computations.compute_sigma(spec.eps, spec.delta, 1.0)
    return 1.959_964 * deviation * math.sqrt(shape["groups"])


main()
