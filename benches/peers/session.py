"""What is asked of everybody, in which sessions, and within which bounds of one person?

Standard library alone: the script that drives the comparison and every program that asks import this file, so a question
means the same everywhere.
"""

import math

# The code lists of OMOP that Sekisho's catalogue declares: every group is shown, whether anybody is in it or not.
GENDERS = [8507, 8532, 8521, 8551, 0]
VISITS = [
    9201, 9202, 9203, 262, 42898160, 581476, 5083, 581458, 32036, 581478, 38004193, 32037, 581477, 581379, 581381, 8717,
    8756, 8870, 8940, 8782, 8863, 8676, 8536, 8546, 8920, 8971, 0,
]
YEARS = list(range(1900, 2031))
DECADES = list(range(190, 204))

SYSTOLIC = 3004249
FIRST_DAY = 18_628  # 2021-01-01 in days since 1970: where the synthetic records begin.

# What every peer is told. `rows`: of one person in one group at most; `groups`: of one person at most.
KINDS = {
    "count": {
        "table": "visits", "aggregate": "count", "keys": ["gender", "birth"], "domains": [GENDERS, YEARS],
        "rows": 4, "groups": 1, "days": 90, "keys_fixed_per_person": True,
    },
    "count, 2 groups": {
        "table": "visits", "aggregate": "count", "keys": ["visit_kind", "birth"], "domains": [VISITS, YEARS],
        "rows": 4, "groups": 2, "days": 90, "keys_fixed_per_person": False,
    },
    "sum": {
        "table": "measures", "aggregate": "sum", "keys": ["gender", "birth"], "domains": [GENDERS, YEARS],
        "rows": 4, "groups": 1, "days": 1_000, "low": 80, "high": 180, "keys_fixed_per_person": True,
    },
    "mean": {
        "table": "measures", "aggregate": "mean", "keys": ["decade"], "domains": [DECADES],
        "rows": 4, "groups": 1, "days": 1_000, "low": 80, "high": 180, "keys_fixed_per_person": True,
    },
}

# Means of few rows are noise divided by noise: compared where at least so many rows are.
MEAN_ROWS_LEAST = 500

_COUNT = """SELECT {keys}, COUNT(*) AS v
FROM visit_occurrence e JOIN person p ON p.person_id = e.person_id
WHERE e.visit_start_date >= DATE '{first}' AND e.visit_start_date < DATE '{end}'
GROUP BY {keys}"""
_MEASURE = """SELECT {keys}, {aggregate}(least(greatest(e.value_as_number, {low}), {high})) AS v
FROM measurement e JOIN person p ON p.person_id = e.person_id
WHERE e.measurement_concept_id = {concept} AND e.value_as_number IS NOT NULL
  AND e.measurement_date >= DATE '{first}' AND e.measurement_date < DATE '{end}'
GROUP BY {keys}"""
_COLUMNS = {
    "gender": "p.gender_concept_id",
    "birth": "p.year_of_birth",
    "visit_kind": "e.visit_concept_id",
    "decade": "p.year_of_birth / 10",
}


def sekisho_sql(kind, first, end):
    """The question as an analyst of Sekisho writes it."""
    shape = KINDS[kind]
    keys = ", ".join(_COLUMNS[key] for key in shape["keys"])
    if shape["aggregate"] == "count":
        return _COUNT.format(keys=keys, first=date(first), end=date(end))
    aggregate = {"sum": "SUM", "mean": "AVG"}[shape["aggregate"]]
    low, high = f"{shape['low']:.1f}", f"{shape['high']:.1f}"
    return _MEASURE.format(
        keys=keys, aggregate=aggregate, low=low, high=high, concept=SYSTOLIC, first=date(first), end=date(end)
    )


def date(day):
    """A day since 1970 as YYYY-MM-DD."""
    import datetime

    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


def sessions(kinds, epsilons, sizes, repeats):
    """All sessions: each a list of questions that no other session of its kind asks."""
    made = []
    for kind in kinds:
        asked = 0
        for epsilon in epsilons:
            for size in sizes:
                for number in range(how_often(size, repeats)):
                    questions = []
                    for _ in range(size):
                        # Windows of one length, each beginning a day later: all different, about as many rows in each.
                        first = FIRST_DAY + asked % 300
                        days = KINDS[kind]["days"] + asked // 300
                        questions.append([first, first + days])
                        asked += 1
                    made.append({"kind": kind, "epsilon": epsilon, "size": size, "number": number, "questions": questions})
    return made


def how_often(size, repeats):
    """Sessions of a size: `repeats` of 20 questions; more of shorter ones and fewer of longer ones, for like precision."""
    return max(1, min(5 * repeats, repeats * 20 // size))


# Sekisho's price, for choosing `sekisho.epsilon`: src/terms/loss.rs has the same in integers rounded up.
ORDERS = [1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024]
MAIN, BESIDE, FAR = 0.75, 0.1, 0.05 / 14
GAUSSIAN_PART, ORDERS_PART = 0.75, 0.125


def epsilon_of_one(epsilon, delta, size):
    """The largest `sekisho.epsilon` of which `size` questions fit under a permit of (epsilon, delta).

    A question of ε stands for the least share that ε-randomised response takes of any budget: of the permit's ε, of a Rényi
    order's, or of the Gaussian coordinate's. So many questions of that share fit, and where their noise is Gaussian each of
    them gets that share of the Gaussian budget.
    """
    best = epsilon / size
    for order, budget in zip(ORDERS, budgets(epsilon, delta)):
        best = max(best, _largest(lambda x: _randomised_response(x, order) <= budget / size, epsilon))
    mu_squared = gaussian_budget(epsilon, delta * GAUSSIAN_PART)
    best = max(best, _largest(lambda x: _tail(math.sqrt(mu_squared / size) / 2) <= 1 / (1 + math.exp(x)), epsilon))
    # The ledger rounds up by a few nano-units.
    return best * (1 - 1e-7) - 1e-8


def gaussian_budget(epsilon, delta):
    """The largest μ² of a Gaussian that is (epsilon, delta)-DP (Balle and Wang 2018)."""

    def fits(mu):
        near, far = _tail(epsilon / mu - mu / 2), _tail(epsilon / mu + mu / 2)
        return near - math.exp(epsilon) * far <= delta

    return _largest(fits, math.sqrt(2 * epsilon) + 40) ** 2


def _largest(fits, high):
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _tail(z):
    return math.erfc(z / math.sqrt(2)) / 2


def budgets(epsilon, delta):
    """What a cap leaves at each order: ε less the conversion at that order's part of an eighth of δ."""

    def budget(order, part):
        share = math.log(delta * ORDERS_PART * part)
        return epsilon - math.log((order - 1) / order) + (share + math.log(order)) / (order - 1)

    main = max(range(len(ORDERS)), key=lambda i: budget(ORDERS[i], MAIN * 0.5 / ORDERS_PART) / ORDERS[i])
    parts = {0: MAIN, 1: BESIDE}
    return [budget(order, parts.get(abs(i - main), FAR)) for i, order in enumerate(ORDERS)]


def _randomised_response(epsilon, order):
    top = order * epsilon + math.log1p(math.exp((1 - 2 * order) * epsilon))
    return max((top - epsilon - math.log1p(math.exp(-epsilon))) / (order - 1), 0.0)
