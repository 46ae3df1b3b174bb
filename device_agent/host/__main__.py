"""Process entry of a model host: `python -m device_agent.host CHANNEL_FD LISTEN_FD`, started by a supervisor only.

One end of a socket pair and the listening socket are inherited; everything else comes over the channel.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Runs a host that never loads OpenSSL: it speaks no TLS, and takes 6 MB less without.

    hashlib then has its own SHA-256.
    """
    sys.modules["ssl"] = sys.modules["_hashlib"] = None  # type: ignore[assignment] # this is how Python bars a module
    from device_agent.host.entry import run  # only now: asyncio would have imported ssl

    channel_fd, listen_fd = map(int, sys.argv[1:3])
    return run(channel_fd, listen_fd)


if __name__ == "__main__":
    os._exit(main())  # a worker thread that hangs in native code must not keep the process
