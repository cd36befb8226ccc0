"""Reads a printed plan back, and says where its figures contradict each other."""

from __future__ import annotations

import re

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SIZE = r"(\d[\d.]*) (B|KiB|MiB|GiB|TiB)\b"
COUNT = r"(\d[\d,]*)"
ROUNDING = 0.012
"""Three digits are printed of each size."""


def nbytes_of(number: str, unit: str) -> float:
    return float(number) * UNITS[unit]


def count_of(text: str) -> int:
    return int(text.replace(",", ""))


def near(one: float, other: float, *, factor: float = 1.0) -> bool:
    return abs(one - other) <= factor * ROUNDING * max(abs(one), abs(other)) + 2


def sum_of_terms(reason: str) -> float:
    """Add up what a step's reason lists: sizes, times a factor or bytes for each of some rows."""
    # What stands behind these says what the terms are made of, or what comes on top of the task.
    reason = re.split("[;:] ", reason)[0]
    total = 0.0
    if " or " in reason:
        before, _, other = reason.partition(", and the larger of ")
        return sum_of_terms(before) + max(map(sum_of_terms, other.split(" or ")))
    per_row = re.compile(rf"(\d+) B for each of (?:its |a row group's )?{COUNT}")
    for each in per_row.finditer(reason):
        total += float(each[1]) * count_of(each[2])
    rest = per_row.sub("", reason)
    for term in re.finditer(rf"{SIZE}(?: × (\d[\d.]*))?", rest):
        total += nbytes_of(term[1], term[2]) * float(term[3] or 1)
    return total


def blocks_of(text: str) -> dict[str, list[str]]:
    """Split a plan's text by its labels."""
    blocks: dict[str, list[str]] = {"": [text.splitlines()[0]]}
    label = ""
    for line in text.splitlines()[1:]:
        label = line[2:12].strip() or label
        blocks.setdefault(label, []).append(line[14:])
    return blocks


def contradictions(text: str, *, sums: bool = True) -> list[str]:
    """Return the lines of a printed plan whose figures cannot all be true."""
    blocks = blocks_of(text)
    wrong = [*_output(blocks), *_memory(blocks), *_places(blocks)]
    return wrong + (_steps(blocks) if sums else [])


def _output(blocks: dict[str, list[str]]) -> list[str]:
    first, *more = blocks["output"]
    found = re.match(
        rf"(?:exactly|about) {COUNT} \S+, (?:about )?{SIZE} in memory \((\d\S*) B a \w+(?:; planned with (\S+) B)?\)",
        first,
    )
    if found is None:
        return [f"unreadable: {first}"]
    rows, nbytes, width = count_of(found[1]), nbytes_of(found[2], found[3]), float(found[4])
    wrong = [] if near(rows * width, nbytes) else [f"rows × width: {first}"]
    if found[5] and float(found[5]) < 0.99 * width:
        wrong.append(f"planned with less than expected: {first}")
    for line in more:
        if between := re.match(rf"between {SIZE} and {SIZE} in memory", line):
            low, high = nbytes_of(between[1], between[2]), nbytes_of(between[3], between[4])
            if not low <= nbytes * (1 + ROUNDING) or not nbytes <= high * (1 + ROUNDING):
                wrong.append(f"outside its interval: {first} {line}")
        counted = re.match(rf"between {COUNT} and {COUNT} rows", line)
        if counted and not count_of(counted[1]) <= rows <= count_of(counted[2]):
            wrong.append(f"outside its interval: {first} {line}")
    parts = re.match(rf"{COUNT}, the largest at most {SIZE} \(target {SIZE}\)", blocks["partitions"][0])
    if parts is None:
        return [*wrong, f"unreadable: {blocks['partitions'][0]}"]
    most = count_of(parts[1]) * nbytes_of(parts[2], parts[3])
    if most < nbytes * (1 - ROUNDING):
        wrong.append(f"partitions × the largest is less than all: {first} {blocks['partitions'][0]}")
    return wrong


def _memory(blocks: dict[str, list[str]]) -> list[str]:
    text = "\n".join(blocks["memory"])
    projected = re.search(rf"projected {SIZE} of {SIZE} allowed per worker \((\d+)%\)", text)
    workers = re.search(
        rf"× {COUNT} threads?; {SIZE} used before any data \(\w+\), {SIZE} for moving rows", text
    )
    task = re.search(rf"a task may use {SIZE}, the largest uses up to {SIZE}", text)
    if projected is None or workers is None or task is None:
        return [f"unreadable: {text}"]
    reached, allowed = nbytes_of(*projected.group(1, 2)), nbytes_of(*projected.group(3, 4))
    threads = count_of(workers[1])
    taken, moving = nbytes_of(*workers.group(2, 3)), nbytes_of(*workers.group(4, 5))
    may, largest = nbytes_of(*task.group(1, 2)), nbytes_of(*task.group(3, 4))
    wrong = []
    if not near(reached, taken + moving + threads * largest, factor=2):
        wrong.append(f"taken + moving + threads × task is not what is projected: {text}")
    if abs(100 * reached / allowed - float(projected[5])) > 1.5 + 0.03 * float(projected[5]):
        wrong.append(f"percent: {text}")
    if taken + moving + threads * may > allowed * (1 + ROUNDING) and may > 0:
        wrong.append(f"a task may use more than there is: {text}")
    if may > 0 and taken >= allowed:
        wrong.append(f"more is taken than allowed, and a task may use some: {text}")
    fits = "FITS" in blocks[""][0] and "NOT" not in blocks[""][0]
    if fits and reached > allowed * (1 + ROUNDING):
        wrong.append(f"fits, and does not: {text}")
    if fits == ("too large" in blocks):
        wrong.append(f"verdict: {blocks['']} {blocks.get('too large')}")
    sizes = [
        nbytes_of(*found.groups())
        for line in blocks["steps"]
        if (found := re.search(rf"up to +{SIZE}  \(", line))
    ]
    if sizes and not near(max(sizes), largest):
        wrong.append(f"the largest step is not the largest task: {text} {blocks['steps']}")
    return wrong


def _places(blocks: dict[str, list[str]]) -> list[str]:
    staged = re.match(rf"{SIZE} of {SIZE} free in ", blocks["staging"][0])
    if staged is None:
        return []
    needed, free = nbytes_of(staged[1], staged[2]), nbytes_of(staged[3], staged[4])
    if needed > free * (1 + ROUNDING) and "NOT" not in blocks[""][0]:
        return [f"fits, and staging does not: {blocks['staging'][0]}"]
    return []


def _steps(blocks: dict[str, list[str]]) -> list[str]:
    wrong = []
    for line in blocks["steps"]:
        found = re.match(rf".*  +{COUNT} tasks?  +up to +{SIZE}  \((.*)\)$", line)
        if found is None:
            wrong.append(f"unreadable: {line}")
        elif not near(nbytes_of(found[2], found[3]), sum_of_terms(found[4]), factor=3):
            wrong.append(f"{sum_of_terms(found[4]) / 2**20:.3g} MiB by its terms: {line}")
    return wrong
