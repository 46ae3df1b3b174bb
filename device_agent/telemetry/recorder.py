"""When windows close: every `window_s`, unless too few frames came, which then wait for the next close.

Not safe for two threads: the host calls it from its one worker thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.telemetry.board import Board
    from device_agent.telemetry.window import WindowSums
    from fleet_contract.desired import TelemetryPolicy


class WindowRecorder:
    """Keeps the open window's start, its policy and its probation mark.

    Args:
        sums: the open window.
        policy: when it may close.
        probation: whether the release is on probation now.
        wall_s: Unix time in seconds.
        elapsed_s: a monotonic clock in seconds.
        board: reads the board's state.
    """

    def __init__(
        self,
        sums: WindowSums,
        policy: TelemetryPolicy,
        *,
        probation: bool,
        wall_s: Callable[[], float],
        elapsed_s: Callable[[], float],
        board: Callable[[], Board],
    ) -> None:
        self.sums = sums
        self.policy = policy
        self._wall_s = wall_s
        self._elapsed_s = elapsed_s
        self._board = board
        self._probation = probation
        self._window_probation = probation
        self._start()

    def due(self) -> bool:
        """Whether the window is old enough to be closed."""
        return self._elapsed_s() - self._started_elapsed_s >= self.policy.window_s

    def close(self) -> NDArray[np.void] | None:
        """The window as one record when it has enough frames, else None and it stays open."""
        if self.sums.frames < self.policy.min_frames:
            return None
        windows = self.sums.close(
            started_s=self._started_s,
            duration_s=self._elapsed_s() - self._started_elapsed_s,
            board=self._board(),
            probation=self._window_probation,
        )
        self._start()
        return windows

    def end_probation(self) -> NDArray[np.void] | None:
        """Closes the window if it may; one that stays open keeps its mark, if part of it was on probation."""
        self._probation = False
        if self.sums.frames == 0:
            self._start()
            return None
        return self.close()

    def _start(self) -> None:
        self._started_s = self._wall_s()
        self._started_elapsed_s = self._elapsed_s()
        self._window_probation = self._probation
