"""How far are the answers off, and whose are nearer?

Standard library alone. An error is the absolute distance of one cell's answer from the exact one. Medians and 95 % quantiles over all
cells of all sessions of a kind have 95 % intervals from their ranks; two peers differ where their intervals do not meet.
"""

import bisect
import math

import session


def errors(lines, truths):
    """For each (kind, ε, size): the distances from the bounded and from the true answer, the noise, and cells left out."""
    found = {}
    for line in lines:
        key = (line["kind"], line["epsilon"], line["size"])
        of = found.setdefault(key, {"bounded": [], "true": [], "missing": 0, "how": line["how"]})
        # Everybody knows that a count is a whole number.
        known = round if session.KINDS[line["kind"]]["aggregate"] == "count" else float
        answers = {tuple(cell): known(value) for cell, value in line["answers"]}
        for cell, (bounded, true) in truths.answer(line["kind"], *line["window"]).items():
            value = answers.get(cell)
            if value is None or not math.isfinite(value):
                of["missing"] += 1
            else:
                of["bounded"].append(abs(value - bounded))
                of["true"].append(abs(value - true))
    for of in found.values():
        of["bounded"].sort()
        of["true"].sort()
    return found


def quantile(ordered, share):
    """The value below which `share` lies, by the mid-distribution: whole numbers, of which many are equal, are then as
    comparable with fractions as can be (half of those that are equal count as below)."""
    n = len(ordered)
    places, values = [], []
    begin = 0
    while begin < n:
        end = bisect.bisect_right(ordered, ordered[begin])
        places.append((begin + end) / 2 / n)
        values.append(ordered[begin])
        begin = end
    at = bisect.bisect_left(places, share)
    if at == 0:
        return values[0]
    if at == len(places):
        return values[-1]
    part = (share - places[at - 1]) / (places[at] - places[at - 1])
    return values[at - 1] + part * (values[at] - values[at - 1])


def with_interval(ordered, share):
    """A quantile with its 95 % interval."""
    half = 1.96 * math.sqrt(share * (1 - share) / len(ordered))
    return quantile(ordered, share), quantile(ordered, share - half), quantile(ordered, share + half)


COLUMNS = [
    "kind", "ε", "questions", "asked", "noise", "cells", "median", "95 %", "true: median", "true: 95 %",
    "median to Sekisho's", "95 % to Sekisho's",
]


def table(of_peers, failed, ours="Sekisho"):
    """Lines of Markdown. `of_peers`: name to errors; `failed`: name to why it answered nothing."""
    yield line(COLUMNS)
    yield line(["---"] * len(COLUMNS))
    for key in dict.fromkeys(key for found in of_peers.values() for key in found):
        base = of_peers.get(ours, {}).get(key)
        for name, found in of_peers.items():
            of = found.get(key)
            if not of or not of["bounded"]:
                continue
            cells = f"{len(of['bounded']):,}" + (f", {of['missing']:,} missing" if of["missing"] else "")
            quantiles = [figure(quantile(of[what], share)) for what in ("bounded", "true") for share in (0.5, 0.95)]
            compared = ["", ""]
            if base and base["bounded"] and name != ours:
                compared = [said(*ratio(base, of, share)) for share in (0.5, 0.95)]
            yield line([key[0], f"{key[1]:g}", str(key[2]), name, of["how"], cells, *quantiles, *compared])
    for name, why in failed.items():
        yield line(["all", "", "", name, f"not compared: {why}"] + [""] * (len(COLUMNS) - 5))


def ratio(base, of, share):
    """The peer's error over ours, and -1, 0 or 1: whether it is less, neither or more by more than chance."""
    middle, low, high = with_interval(of["bounded"], share)
    our_middle, our_low, our_high = with_interval(base["bounded"], share)
    return middle / our_middle if our_middle else math.inf, (low > our_high) - (high < our_low)


def said(ratio, side):
    return f"{ratio:.2f}" + {-1: " **worse**", 0: " even", 1: ""}[side]


def worse(of_peers, ours="Sekisho"):
    """Every row in which a peer is nearer than we are."""
    for name, found in of_peers.items():
        for key, of in found.items():
            base = of_peers.get(ours, {}).get(key)
            if name == ours or not base or not base["bounded"] or not of["bounded"]:
                continue
            (half, half_side), (tail, tail_side) = ratio(base, of, 0.5), ratio(base, of, 0.95)
            if min(half_side, tail_side) < 0:
                yield name, key, half, tail


def line(fields):
    return "| " + " | ".join(fields) + " |"


def figure(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
