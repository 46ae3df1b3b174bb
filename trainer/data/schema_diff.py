"""What has changed between two schemas, in words for the person who reviews them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from trainer.data.schema import DataSchema, FeatureSchema

NOTICED_SHARE_CHANGE: Final = 0.005
"""Class shares that differ by less read the same to a person."""


def carry_over(old: DataSchema, new: DataSchema) -> DataSchema:
    """`new` with what a person decided in `old` and data cannot tell: what may be missing, and how far shares may move.

    An allowance for missing values that `new` has stays as it is.
    """
    before = {feature.name: feature.max_missing_fraction for feature in old.features}
    features = tuple(
        msgspec.structs.replace(feature, max_missing_fraction=before.get(feature.name))
        if feature.max_missing_fraction is None
        else feature
        for feature in new.features
    )
    return msgspec.structs.replace(
        new,
        features=features,
        max_missing_fraction=max(old.max_missing_fraction, new.max_missing_fraction),
        max_share_change=old.max_share_change,
        min_rows_per_class=min(old.min_rows_per_class, new.min_rows_per_class),
    )


def schema_diff(old: DataSchema, new: DataSchema) -> list[str]:
    """A sentence for each difference from `old` to `new`; empty when they ask the same of data."""
    words = [
        f"{what}: {_show(before)} becomes {_show(after)}"
        for what, before, after in (
            ("dtype", old.dtype.value, new.dtype.value),
            ("shape", list(old.shape), list(new.shape)),
            ("share of rows that may be missing", old.max_missing_fraction, new.max_missing_fraction),
            ("rows that each class must have", old.min_rows_per_class, new.min_rows_per_class),
            ("change of a class's share that is allowed", old.max_share_change, new.max_share_change),
        )
        if before != after
    ]
    words += _range_words("values", old, new)
    words += _name_words("class", list(old.labels), list(new.labels))
    words += _share_words(old, new)
    return words + _feature_words(old, new)


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range_words(what: str, old: DataSchema | FeatureSchema, new: DataSchema | FeatureSchema) -> list[str]:
    if (old.low, old.high) == (new.low, new.high):
        return []
    wider = new.low <= old.low and new.high >= old.high
    narrower = new.low >= old.low and new.high <= old.high
    kind = "wider" if wider else "narrower" if narrower else "moved"
    return [f"{what}: range [{old.low:g}, {old.high:g}] becomes [{new.low:g}, {new.high:g}] ({kind})"]


def _name_words(what: str, old: list[str], new: list[str]) -> list[str]:
    words = [f"{what} {name!r} is new" for name in new if name not in old]
    words += [f"{what} {name!r} is gone" for name in old if name not in new]
    if not words and old != new:
        words.append(f"the order of {what} names becomes {', '.join(new)}")
    return words


def _share_words(old: DataSchema, new: DataSchema) -> list[str]:
    before = dict(zip(old.labels, old.class_shares, strict=True))
    return [
        f"class {label!r}: {before[label]:.1%} of the rows becomes {share:.1%}"
        for label, share in zip(new.labels, new.class_shares, strict=True)
        if label in before and abs(share - before[label]) > NOTICED_SHARE_CHANGE
    ]


def _feature_words(old: DataSchema, new: DataSchema) -> list[str]:
    before = {feature.name: feature for feature in old.features}
    words = _name_words("feature", list(before), [feature.name for feature in new.features])
    for feature in new.features:
        if feature.name in before:
            words += _one_feature(before[feature.name], feature)
    return words


def _one_feature(old: FeatureSchema, new: FeatureSchema) -> list[str]:
    words = _name_words(f"feature {new.name!r}: category", list(old.categories), list(new.categories))
    if not words:
        words = _range_words(f"feature {new.name!r}", old, new)
    if old.max_missing_fraction != new.max_missing_fraction:
        before, after = (_allowance(feature) for feature in (old, new))
        words.append(f"feature {new.name!r}: may be missing in {before}, becomes {after}")
    return words


def _allowance(feature: FeatureSchema) -> str:
    share = feature.max_missing_fraction
    return "as many rows as the schema says" if share is None else f"{share:.0%} of the rows"
