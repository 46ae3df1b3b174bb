"""What a model host process does: sets itself up, then serves until told to drain."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
import warnings

from device_agent.host.channel import command_channel
from device_agent.host.service import HostService


def run(channel_fd: int, listen_fd: int) -> int:
    """Serves; the exit code says why it ended."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor, which drains us
    warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of values that are not finite: they are counted
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = asyncio.run(_serve(channel_fd, listen_fd))
    logging.shutdown()
    return code


async def _serve(channel_fd: int, listen_fd: int) -> int:
    channel = await command_channel(socket.socket(fileno=channel_fd))
    return await HostService(channel, socket.socket(fileno=listen_fd)).run()
