"""Checks of values: missing, out of range, categories, feature by feature where the schema knows features.

Rules: pure; the first MAX_FEATURES features with an anomaly are named, the rest counted in one line, so that a wide
table that is all wrong stays readable. Legend: B rows, F features, V values of a feature (`trainer.data.feature_view`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainer.data.anomaly import Anomaly, examples
from trainer.data.feature_view import DataKind, extremes, feature_view, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.feature_view import FeatureView
    from trainer.data.schema import DataSchema, FeatureSchema

    Mask = NDArray[np.bool_]
    Reals = NDArray[np.float64]

MAX_FEATURES: Final = 20
MIN_NUMBERED: Final = 100
"""With fewer rows whole numbers without a gap may be measured."""


def feature_form(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    """Other features than the schema's, or other vocabularies; a schema without features takes any."""
    if not schema.features:
        return []
    view = feature_view(data)
    expected = [feature.name for feature in schema.features]
    if list(view.names) != expected:
        return [Anomaly("features", len(data), _names_words(list(view.names), expected), waivable=False)]
    return _named(list(_vocabularies(view, schema, len(data))))


def _names_words(got: list[str], expected: list[str]) -> str:
    extra = [name for name in got if name not in expected][:5]
    lacking = [name for name in expected if name not in got][:5]
    if not extra and not lacking:
        return "got another order of the features, expected that of the schema"
    return f"got {len(got)} features, expected {len(expected)}; not known: {extra}; not there: {lacking}"


def _vocabularies(view: FeatureView, schema: DataSchema, count: int) -> Iterator[Anomaly]:
    for feature, got in zip(schema.features, view.categories, strict=True):
        if got == feature.categories:
            continue
        new = [name for name in got if name not in feature.categories]
        what = f"new categories {new[:5]}" if new else f"categories {list(got[:5])}"
        words = (
            f"{feature.name!r}: got {what}, expected {list(feature.categories[:5])}, {len(feature.categories)} in all"
        )
        yield Anomaly("categories", count, words)


def feature_anomalies(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    """Values that are missing, out of range or not codes, and features that say nothing."""
    view = feature_view(data)
    low_F, high_F = extremes(view.values_VF)
    whole = bool((np.isfinite(low_F) & np.isfinite(high_F)).all())
    finite_VF = None if whole else np.isfinite(view.values_VF)
    found = _missing(view, finite_VF, schema)
    if not schema.features:
        return found + _global_range(view, finite_VF, schema, float(low_F.min()), float(high_F.max()))
    found += _named(list(_ranges(view, low_F, high_F, schema.features)))
    if kind_of(data) is not DataKind.TABLE:
        return found
    return found + _named(list(_constant(view, low_F, high_F))) + _named(list(_identifiers(view, low_F, high_F)))


def _missing(view: FeatureView, finite_VF: Mask | None, schema: DataSchema) -> list[Anomaly]:
    """Features with an allowance of their own are judged by it, whole rows by what the other features lack."""
    if finite_VF is None or finite_VF.all():
        return []
    missing_BF = view.rows_with(~finite_VF)
    own_F = np.asarray([feature.max_missing_fraction is not None for feature in schema.features], np.bool_)
    shared_BF = missing_BF[:, ~own_F] if schema.features else missing_BF
    found = _missing_rows(view, _any_feature(shared_BF), missing_BF, schema)
    return found + _named(list(_missing_features(missing_BF, schema.features)))


def _missing_rows(view: FeatureView, bad_B: Mask, missing_BF: Mask, schema: DataSchema) -> list[Anomaly]:
    count = int(bad_B.sum())
    if count == 0:
        return []
    limit = schema.max_missing_fraction
    words = f"{count} of {len(bad_B)} rows hold NaN or infinity, expected at most {limit:.2%}"
    worst = [index for index in np.argsort(-missing_BF.sum(axis=0), kind="stable")[:3] if missing_BF[:, index].any()]
    if schema.features:
        words += f"; most in {', '.join(f'{view.names[index]!r} ({missing_BF[:, index].sum()})' for index in worst)}"
    rows = examples(bad_B)
    columns = tuple(view.names[int(missing_BF[row].argmax())] for row in rows) if schema.features else ()
    return [Anomaly("missing", count, words, rows, columns, fatal=count > limit * len(bad_B))]


def _missing_features(missing_BF: Mask, features: tuple[FeatureSchema, ...]) -> Iterator[Anomaly]:
    for index, feature in enumerate(features):
        limit = feature.max_missing_fraction
        count = int(missing_BF[:, index].sum())
        if limit is not None and count:
            words = f"{feature.name!r}: {count} of {len(missing_BF)} rows hold NaN or infinity, at most {limit:.2%} may"
            fatal = count > limit * len(missing_BF)
            yield Anomaly("missing", count, words, examples(missing_BF[:, index]), fatal=fatal)


def _any_feature(mask_BF: Mask) -> Mask:
    return np.asarray(mask_BF.any(axis=1), np.bool_)


def _global_range(
    view: FeatureView, finite_VF: Mask | None, schema: DataSchema, low: float, high: float
) -> list[Anomaly]:
    if low >= schema.low and high <= schema.high:  # NaN compares false and so is looked at
        return []
    with np.errstate(invalid="ignore"):
        outside_VF = (view.values_VF < schema.low) | (view.values_VF > schema.high)
    if finite_VF is not None:
        outside_VF &= finite_VF
    outside_B = _any_feature(view.rows_with(outside_VF))
    if not outside_B.any():
        return []
    value = view.values_VF[outside_VF][0]
    words = f"{int(outside_B.sum())} rows hold values outside [{schema.low:g}, {schema.high:g}], for instance {value:g}"
    return [Anomaly("range", int(outside_B.sum()), words, examples(outside_B))]


def _ranges(view: FeatureView, low_F: Reals, high_F: Reals, features: tuple[FeatureSchema, ...]) -> Iterator[Anomaly]:
    for index, feature in enumerate(features):
        if not feature.categories and feature.low <= low_F[index] and high_F[index] <= feature.high:
            continue  # NaN compares false and so is looked at
        values_V = view.values_VF[:, index].astype(np.float64)
        outside_V = _outside(values_V, feature)
        if not outside_V.any():
            continue
        outside_B = view.rows_with(outside_V[:, None])[:, 0]
        expected = (
            f"that are no codes of its {len(feature.categories)} categories"
            if feature.categories
            else f"outside [{feature.low:g}, {feature.high:g}]"
        )
        count, value = int(outside_B.sum()), values_V[outside_V][0]
        words = f"{feature.name!r}: {count} rows hold values {expected}, for instance {value:g}"
        yield Anomaly("range", count, words, examples(outside_B))


def _outside(values_V: Reals, feature: FeatureSchema) -> Mask:
    """Which values are out of range or no codes; what is not finite is missing instead."""
    outside_V = (values_V < feature.low) | (values_V > feature.high)
    if feature.categories:
        outside_V |= values_V != np.rint(values_V)
    return np.asarray(outside_V & np.isfinite(values_V), np.bool_)


def _constant(view: FeatureView, low_F: Reals, high_F: Reals) -> Iterator[Anomaly]:
    if len(view.values_VF) < 2:
        return
    for index in np.flatnonzero(low_F == high_F):
        words = f"{view.names[index]!r} is {low_F[index]:g} in all rows: it tells a model nothing"
        yield Anomaly("constant", len(view.values_VF), words, fatal=False)


def _identifiers(view: FeatureView, low_F: Reals, high_F: Reals) -> Iterator[Anomaly]:
    """Whole numbers, no two alike and none left out: a number that rows were given, not something measured."""
    count = len(view.values_VF)
    if count < MIN_NUMBERED:
        return
    for index in np.flatnonzero(high_F == low_F + (count - 1)):
        values_V = np.sort(view.values_VF[:, index].astype(np.float64))
        if not view.categories[index] and np.array_equal(values_V, low_F[index] + np.arange(count)):
            words = (
                f"{view.names[index]!r} counts the rows from {low_F[index]:g} to {high_F[index]:g}: an identifier, "
                "which new rows will not share; leave it out with [data] features"
            )
            yield Anomaly("identifier", count, words, fatal=False)


def _named(found: list[Anomaly]) -> list[Anomaly]:
    """The first MAX_FEATURES, and one for the rest that is as fatal as the worst of them."""
    rest = found[MAX_FEATURES:]
    if not rest:
        return found
    words = f"{len(rest)} more features have the same anomaly"
    return [
        *found[:MAX_FEATURES],
        Anomaly(rest[0].kind, sum(one.count for one in rest), words, fatal=any(one.fatal for one in rest)),
    ]
