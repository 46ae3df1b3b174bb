"""Process entry of a model host: `python -m device_agent.host --channel FD --listen FD`, started by a supervisor only.

The listening socket and one end of a socket pair are inherited; everything else comes over the channel.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version


def main() -> int:
    """Serves until told to drain; the exit code says why it ended."""
    parser = argparse.ArgumentParser(prog="python -m device_agent.host", description="One model host process.")
    parser.add_argument("--channel", type=int, required=True, help="inherited socket pair end")
    parser.add_argument("--listen", type=int, required=True, help="inherited listening socket")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor, which drains us
    warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of values that are not finite: they are counted
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return asyncio.run(_serve(arguments.channel, arguments.listen))


async def _serve(channel_fd: int, listen_fd: int) -> int:
    # After the process is set up, and not for --help.
    from device_agent.host.channel import command_channel
    from device_agent.host.service import HostService

    channel = await command_channel(socket.socket(fileno=channel_fd))
    return await HostService(channel, socket.socket(fileno=listen_fd), version=_version()).run()


def _version() -> str:
    try:
        return version("edgeferry")
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a worker thread that hangs in native code must not keep the process
