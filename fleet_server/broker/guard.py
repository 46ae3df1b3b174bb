"""Runs a program that ends with the process that started it: `python -P guard.py PROGRAM ARGUMENT...`.

Linux sends the signal when the parent's thread ends, and keeps that wish over exec; so it costs no process more.
This file runs by path, alone, with nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks for the signal, looks that the parent is still there, and becomes the program."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)  # it died before the wish was heard
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 -- to become the program is the point


if __name__ == "__main__":
    main()
