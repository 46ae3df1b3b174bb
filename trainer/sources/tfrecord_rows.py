"""Examples gathered into columns, as they are read: text and single numbers, lists of numbers, or one encoded image.

Rules: the first example that can be read says what all of them are like. An empty value of a single feature is missing;
whatever else differs from the first is a fault of that record, and all faults are told together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_rows.image_file import choose_form, decode_image
from fleet_rows.limits import MAX_NAMED
from trainer.sources.limits import require_fits, require_flawless
from trainer.sources.table_roles import Roles, absence_hint, require_roles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_rows.image_file import ImageForm
    from trainer.settings import DataSection
    from trainer.sources.tfrecord_file import Values

IMAGE_MAGIC: Final = (b"\x89PNG", b"\xff\xd8\xff")
FLOAT32_BYTES: Final = 4
HINT: Final = "name features with [data] label and features"


@dataclass(slots=True)
class Gathered:
    """Columns of what has been read: `singles` of one value a record, `lists` of several numbers, or `images`."""

    settings: DataSection
    source: str
    roles: Roles | None = None
    image: str = ""
    form: ImageForm | None = None
    widths: dict[str, int] = field(default_factory=dict)
    singles: dict[str, list[Any]] = field(default_factory=dict)
    lists: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    kinds: dict[str, type] = field(default_factory=dict)
    count: int = 0
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)
    hint: str = HINT

    def add(self, example: dict[str, Values], place: str) -> None:
        """Keeps one example, or what is wrong with it.

        Raises:
            ConfigError: settings that contradict one another.
            DataError: inputs that would not fit into memory.
        """
        try:
            self._add(example)
        except ValueError as error:
            self.fault_count += 1
            if self.fault_count <= MAX_NAMED:
                self.faults.append(f"{place}: {error}")

    def require_flawless(self) -> None:
        """Passes when all examples were kept.

        Raises:
            DataError: some were not; all are counted, the first few named.
        """
        require_flawless(self.source, self.faults, count=self.fault_count, hint=self.hint)

    def _add(self, example: dict[str, Values]) -> None:
        if self.roles is None:
            self._plan(example)
        singles = {name: self._single(example, name) for name in self.singles}
        lists = {name: self._list(example, name) for name in self.lists}
        if self.image:
            self.images.append(self._decoded(example))
        for name, value in singles.items():
            self.singles[name].append(value)
        for name, values_N in lists.items():
            self.lists[name].append(values_N)
        self.count += 1
        row_bytes = self.images[0].nbytes if self.image else FLOAT32_BYTES * sum(self.widths.values())
        require_fits(self.source, self.count * row_bytes, self.settings.max_bytes)

    def _plan(self, example: dict[str, Values]) -> None:
        """What each feature is, by the first example."""
        roles = self._roles(example)
        first = {name: self._values(example, name) for name in roles.columns}
        self.image = _image_of(roles, first)
        if not self.image:
            self.widths = {name: max(1, len(first[name])) for name in roles.features}
        self.lists = {name: [] for name, width in self.widths.items() if width > 1}
        self.singles = {name: [] for name in roles.columns if name != self.image and name not in self.lists}
        self.roles = roles

    def _roles(self, example: dict[str, Values]) -> Roles:
        asked = self.settings
        reserved = {asked.label, asked.slices, asked.group, asked.time}
        features = asked.features or tuple(sorted(set(example) - reserved))
        if not features:
            raise ValueError(f"got no feature but {asked.label!r}, expected at least one")
        roles = Roles(asked.label, features, asked.slices, asked.group, asked.time)
        require_roles(roles)
        return roles

    def _values(self, example: dict[str, Values], name: str) -> Values:
        if name not in example:
            self.hint = absence_hint(name, sorted(example))
            raise ValueError(f"got features {sorted(example)[:20]}, expected one named {name!r}")
        return example[name]

    def _single(self, example: dict[str, Values], name: str) -> str | int | float | None:
        values = self._values(example, name)
        if len(values) > 1:
            raise ValueError(f"feature {name!r}: got {len(values):,} values, expected one")
        if not values:
            return None
        value = values[0]
        if isinstance(value, bytes) != (self.kinds.setdefault(name, type(value)) is bytes):
            got, expected = ("text", "a number") if isinstance(value, bytes) else ("a number", "text")
            raise ValueError(f"feature {name!r}: got {got}, expected {expected} as in the first record")
        if isinstance(value, float):
            self.kinds[name] = float
        return _text(name, value) if isinstance(value, bytes) else value

    def _list(self, example: dict[str, Values], name: str) -> NDArray[np.float32]:
        values = self._values(example, name)
        if len(values) != self.widths[name]:
            raise ValueError(
                f"feature {name!r}: got {len(values):,} values, expected {self.widths[name]:,} as in the first record"
            )
        if any(isinstance(value, bytes) for value in values[:1]):
            raise ValueError(f"feature {name!r}: got several texts, expected one, or numbers")
        return np.asarray(values, np.float32)

    def _decoded(self, example: dict[str, Values]) -> NDArray[np.uint8]:
        values = self._values(example, self.image)
        if len(values) != 1 or not isinstance(values[0], bytes):
            raise ValueError(f"feature {self.image!r}: got {len(values):,} values, expected one encoded image")
        self.form = self.form or choose_form(values[0], self.settings.image_size, self.settings.channels)
        return decode_image(values[0], self.form)


def _image_of(roles: Roles, first: dict[str, Values]) -> str:
    """The feature that is an encoded image; empty where there is none.

    Raises:
        ValueError: there are other features beside it.
    """
    encoded = [name for name in roles.features if _is_image(first[name])]
    if encoded and len(roles.features) > 1:
        raise ValueError(
            f"got an encoded image in {encoded[0]!r} among features {list(roles.features)}, expected it alone"
        )
    return encoded[0] if encoded else ""


def _is_image(values: Values) -> bool:
    return len(values) == 1 and isinstance(values[0], bytes) and values[0].startswith(IMAGE_MAGIC)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"feature {name!r}: got bytes that are no PNG, JPEG or text in UTF-8, expected one") from error
