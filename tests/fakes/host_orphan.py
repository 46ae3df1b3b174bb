"""Run as a script: activates a release, prints the host's process id, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.fakes.host_releases import make_release
from tests.fakes.host_supervisor import watched


async def main() -> None:
    """Serves until somebody kills us."""
    with tempfile.TemporaryDirectory() as folder:
        async with watched() as host:
            await host.supervisor.activate(make_release(Path(folder)), probation=False)
            sys.stdout.write(f"{host.pid}\n")
            sys.stdout.flush()
            await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main())
