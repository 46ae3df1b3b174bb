"""Checks of values: missing, out of range, categories, feature by feature where the schema knows features.

Rules: pure; the first MAX_FEATURES features with an anomaly are named, the rest counted in one line, so that a wide
table that is all wrong stays readable. Legend: B rows, F features, V values of a feature (`trainer.data.feature_view`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainer.data.anomaly import Anomaly, examples
from trainer.data.feature_view import DataKind, feature_view, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.feature_view import FeatureView
    from trainer.data.schema import DataSchema, FeatureSchema

    Mask = NDArray[np.bool_]

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
    finite_VF = np.isfinite(view.values_VF) if view.values_VF.dtype.kind == "f" else None
    found = _missing(view, finite_VF, schema)
    if not schema.features:
        return found + _global_range(view, finite_VF, schema)
    outside_VF = _outside(view, finite_VF, schema)
    if outside_VF.any():
        found += _named(list(_ranges(view, outside_VF, schema.features)))
    if kind_of(data) is not DataKind.TABLE:
        return found
    return found + _named(list(_constant(view))) + _named(list(_identifiers(view)))


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
    return [Anomaly("missing", count, words, examples(bad_B), fatal=count > limit * len(bad_B))]


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


def _global_range(view: FeatureView, finite_VF: Mask | None, schema: DataSchema) -> list[Anomaly]:
    low, high = view.values_VF.min(), view.values_VF.max()
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


def _outside(view: FeatureView, finite_VF: Mask | None, schema: DataSchema) -> Mask:
    low_F = np.asarray([feature.low for feature in schema.features])
    high_F = np.asarray([feature.high for feature in schema.features])
    with np.errstate(invalid="ignore"):
        outside_VF: Mask = (view.values_VF < low_F) | (view.values_VF > high_F)
    for index, feature in enumerate(schema.features):
        if feature.categories:
            outside_VF[:, index] |= view.values_VF[:, index] != np.rint(view.values_VF[:, index])
    return outside_VF if finite_VF is None else outside_VF & finite_VF


def _ranges(view: FeatureView, outside_VF: Mask, features: tuple[FeatureSchema, ...]) -> Iterator[Anomaly]:
    outside_BF = view.rows_with(outside_VF)
    for index in np.flatnonzero(outside_VF.any(axis=0)):
        feature = features[index]
        value = view.values_VF[outside_VF[:, index], index][0]
        count = int(outside_BF[:, index].sum())
        expected = (
            f"that are no codes of its {len(feature.categories)} categories"
            if feature.categories
            else f"outside [{feature.low:g}, {feature.high:g}]"
        )
        words = f"{feature.name!r}: {count} rows hold values {expected}, for instance {value:g}"
        yield Anomaly("range", count, words, examples(outside_BF[:, index]))


def _constant(view: FeatureView) -> Iterator[Anomaly]:
    if len(view.values_VF) < 2:
        return
    for index in np.flatnonzero((view.values_VF == view.values_VF[0]).all(axis=0)):
        value = view.values_VF[0, index]
        words = f"{view.names[index]!r} is {value:g} in all rows: it tells a model nothing"
        yield Anomaly("constant", len(view.values_VF), words, fatal=False)


def _identifiers(view: FeatureView) -> Iterator[Anomaly]:
    """Whole numbers, no two alike and none left out: a number that rows were given, not something measured."""
    count = len(view.values_VF)
    if count < MIN_NUMBERED:
        return
    low_F, high_F = view.values_VF.min(axis=0).astype(np.float64), view.values_VF.max(axis=0).astype(np.float64)
    for index in np.flatnonzero(high_F - low_F == count - 1):  # NaN compares false
        values_V = view.values_VF[:, index].astype(np.float64)
        if not view.categories[index] and np.array_equal(np.sort(values_V), np.arange(low_F[index], high_F[index] + 1)):
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
