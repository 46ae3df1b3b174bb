"""From what was seen in a column to the feature that it becomes: a number, or a category with its vocabulary.

Rules: pure. A vocabulary is sorted once and kept with the schema; from then on a word that it lacks is an anomaly, not
a new code, for codes that move would feed the model lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.release import Feature
from fleet_rows.limits import MAX_NAMED
from trainer.sources.limits import MAX_CATEGORIES, require_flawless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.sources.column_scan import ColumnScan


def choose_features(
    scans: Sequence[ColumnScan], *, source: str, categorical: Sequence[str], known: Sequence[Feature]
) -> tuple[Feature, ...]:
    """One feature for each scan, in order; `known` are those of the reviewed schema, empty before there is one.

    Raises:
        DataError: a column is mixed, empty, free text, or holds what the reviewed schema does not know.
    """
    by_name = {feature.name: feature for feature in known}
    flaws = [
        flaw
        for scan in scans
        if (flaw := _flaw(scan, declared=scan.name in categorical) or _surprise(scan, by_name.get(scan.name)))
    ]
    require_flawless(
        source,
        flaws,
        hint='mend the rows, leave the column out of [data] features, or name it in categorical = ["COLUMN"]',
    )
    return tuple(by_name.get(scan.name) or _infer(scan, declared=scan.name in categorical) for scan in scans)


def mixture(scan: ColumnScan) -> str:
    """What is wrong with a column that holds both numbers and words; empty where it does not."""
    if not (scan.number_count and scan.word_count):
        return ""
    return (
        f"column {scan.name!r}: got {scan.number_count:,} numbers (first {scan.first_number}) and "
        f"{scan.word_count:,} words (first {scan.first_word}), expected one kind"
    )


def _flaw(scan: ColumnScan, *, declared: bool) -> str:
    if scan.missing_count == scan.row_count:
        return f"column {scan.name!r}: got no value in {scan.row_count:,} rows, expected some"
    if not declared and (mixed := mixture(scan)):
        return mixed
    if (declared or scan.word_count) and scan.has_too_many_words:
        return (
            f"column {scan.name!r}: got more than {MAX_CATEGORIES:,} different words (for instance "
            f"{scan.first_word or scan.first_number}), expected a number or a category"
        )
    broken = next((word for word in scan.words if "\n" in word), None)
    if broken is not None and scan.word_count:
        return f"column {scan.name!r}: got a line break in {broken[:40]!r}, expected words: is a quote left open?"
    return ""


def _surprise(scan: ColumnScan, known: Feature | None) -> str:
    """What the reviewed schema does not allow."""
    if known is None:
        return ""
    if not known.categories:
        return (
            f"column {scan.name!r}: got words (first {scan.first_word}), expected numbers as the schema says"
            if scan.word_count
            else ""
        )
    unknown = {word: count for word, count in scan.words.items() if word not in known.categories}
    if not unknown and (scan.words or not scan.number_count):
        return ""
    if not unknown:
        return f"column {scan.name!r}: got numbers (first {scan.first_number}), expected categories as the schema says"
    return (
        f"column {scan.name!r}: got {sum(unknown.values()):,} rows with categories that the schema does not know "
        f"({', '.join(str(scan.first_words[word]) for word in sorted(unknown)[:MAX_NAMED])}), "
        f"expected one of {', '.join(map(repr, known.categories[:20]))}; a new one goes to the end of its list there"
    )


def _infer(scan: ColumnScan, *, declared: bool) -> Feature:
    return Feature(name=scan.name, categories=tuple(sorted(scan.words)) if declared or scan.word_count else ())
