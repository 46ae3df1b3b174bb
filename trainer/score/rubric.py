"""All 28 tests by section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainer.score.data import DATA_TESTS
from trainer.score.infrastructure import INFRASTRUCTURE_TESTS
from trainer.score.model import MODEL_TESTS
from trainer.score.monitoring import MONITORING_TESTS
from trainer.score.scoring import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.score.scoring import Test

RUBRIC: Final[dict[Section, Sequence[Test]]] = {
    Section.DATA: DATA_TESTS,
    Section.MODEL: MODEL_TESTS,
    Section.INFRASTRUCTURE: INFRASTRUCTURE_TESTS,
    Section.MONITORING: MONITORING_TESTS,
}
TEST_IDS: Final = frozenset(test.id for tests in RUBRIC.values() for test in tests)
