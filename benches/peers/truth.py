"""What are the exact answers, with and without the bounds of one person?

Standard library alone. *True* is what SQL answers. *Bounded* is what an engine aims at that holds every person to the bounds:
of n rows in one group, the rows bound leaves each with weight min(1, rows / n); of g groups of one person, the groups bound
leaves each with weight min(1, groups / g). Engines that sample reach it on average, and their sampling counts as error.
"""

import bisect
import csv
import datetime

import session

_EPOCH = datetime.date(1970, 1, 1).toordinal()


def flat_tables(records):
    """The two tables that everybody is asked about, from OMOP CSV files: visits and systolic blood pressures."""
    people = {}
    for row in _read(records / "person.csv"):
        people[row["person_id"]] = (int(row["gender_concept_id"]), int(row["year_of_birth"]))
    visits = []
    for row in _read(records / "visit_occurrence.csv"):
        gender, birth = people[row["person_id"]]
        visits.append([int(row["person_id"]), gender, birth, int(row["visit_concept_id"]), _day(row["visit_start_date"])])
    measures = []
    centre = (session.KINDS["mean"]["low"] + session.KINDS["mean"]["high"]) / 2
    for row in _read(records / "measurement.csv"):
        if int(row["measurement_concept_id"]) == session.SYSTOLIC and row["value_as_number"]:
            gender, birth = people[row["person_id"]]
            value, day = float(row["value_as_number"]), _day(row["measurement_date"])
            measures.append([int(row["person_id"]), gender, birth, birth // 10, day, value, value - centre])
    return {
        "visits": (["person_id", "gender", "birth", "visit_kind", "event_day"], visits),
        "measures": (["person_id", "gender", "birth", "decade", "event_day", "value", "centred"], measures),
    }


def _read(path):
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _day(text):
    return datetime.date.fromisoformat(text[:10]).toordinal() - _EPOCH


class Truth:
    """Answers every question of a kind."""

    def __init__(self, shape, columns, rows):
        self._shape = shape
        self._clamped = shape["aggregate"] != "count"
        day, person = columns.index("event_day"), columns.index("person_id")
        keys = [columns.index(key) for key in shape["keys"]]
        low, high = shape.get("low"), shape.get("high")
        value = columns.index("value") if self._clamped else None
        self._rows = sorted(
            (row[day], row[person], tuple(row[k] for k in keys), min(max(row[value], low), high) if self._clamped else 1)
            for row in rows
        )
        self._days = [row[0] for row in self._rows]

    def rows(self, first, end):
        """How many rows the question is about."""
        return bisect.bisect_left(self._days, end) - bisect.bisect_left(self._days, first)

    def answer(self, first, end):
        """For every group that has rows: (bounded, true)."""
        begin, stop = bisect.bisect_left(self._days, first), bisect.bisect_left(self._days, end)
        parts, groups_of = {}, {}
        for _, person, key, value in self._rows[begin:stop]:
            part = parts.get((person, key))
            if part is None:
                parts[person, key] = part = [0, 0.0]
                groups_of[person] = groups_of.get(person, 0) + 1
            part[0] += 1
            part[1] += value
        bounded, true = {}, {}
        rows_bound, groups_bound = self._shape["rows"], self._shape["groups"]
        for (person, key), (rows, total) in parts.items():
            weight = min(1.0, rows_bound / rows) * min(1.0, groups_bound / groups_of[person])
            for sums, w in ((bounded, weight), (true, 1.0)):
                one = sums.setdefault(key, [0.0, 0.0])
                one[0] += w * rows
                one[1] += w * total
        if self._shape["aggregate"] == "mean":
            enough = [key for key, (rows, _) in true.items() if rows >= session.MEAN_ROWS_LEAST]
            return {key: (bounded[key][1] / bounded[key][0], true[key][1] / true[key][0]) for key in enough}
        return {key: (bounded[key][1], true[key][1]) for key in true}
