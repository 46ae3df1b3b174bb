"""Ctrl-C that is never lost.

An exception that a signal raises while Python runs a callback of the garbage collector is printed and dropped, and with
TensorFlow tracing most of the time that is not rare. So the signal is also remembered, and asked for after each epoch.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], None]]:
    """A check that raises KeyboardInterrupt once SIGINT or SIGTERM has come; the signal itself raises it as well.

    Outside of the main thread, where Python takes no signals, the check never raises.
    """
    came: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield check
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
