"""Optional packages of others can be left out of an import, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from trainer.lean_imports import leaving_out


def test_a_package_is_absent_in_the_block_and_there_after_it() -> None:
    """What looks whether `colorsys` is there finds nothing inside, and the real one afterwards."""
    sys.modules.pop("colorsys", None)
    with leaving_out("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.__name__ == "colorsys"


def test_what_is_imported_already_stays() -> None:
    """Nobody who holds a module gets another one of that name."""
    import json

    with leaving_out("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json
