"""Imports of large packages without the optional ones that they take along and nothing here needs of them.

    with leaving_out("pandas"):
        import keras

Keras imports pandas, matplotlib and scikit-learn, MLflow pandas and polars, scikit-learn pandas, only to offer wrappers
for them; all do without, at two thirds of the seconds. Whoever imports such a package afterwards gets it as ever.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def leaving_out(*packages: str) -> Iterator[None]:
    """In this block `packages` count as not installed, but for those that are imported already."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what the import system takes for absent
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name)
