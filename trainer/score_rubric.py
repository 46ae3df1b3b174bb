"""All 28 tests by section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainer.score import Section
from trainer.score_data import DATA_TESTS
from trainer.score_infrastructure import INFRASTRUCTURE_TESTS
from trainer.score_model import MODEL_TESTS
from trainer.score_monitoring import MONITORING_TESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.score import Test

RUBRIC: Final[dict[Section, Sequence[Test]]] = {
    Section.DATA: DATA_TESTS,
    Section.MODEL: MODEL_TESTS,
    Section.INFRASTRUCTURE: INFRASTRUCTURE_TESTS,
    Section.MONITORING: MONITORING_TESTS,
}
TEST_IDS: Final = frozenset(test.id for tests in RUBRIC.values() for test in tests)
