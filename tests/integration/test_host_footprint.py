"""A serving host stays small: which modules it loads, and how much memory it takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.host_client import call, infer_body
from tests.fakes.host_releases import make_release
from tests.fakes.host_supervisor import watched

HEAVY = ("pydantic", "typer", "rich", "requests", "tensorflow", "litestar", "sqlalchemy", "scipy", "cryptography")
LIBRARIES = ("libssl", "libcrypto", *(f"/{name}/" for name in HEAVY))


def test_a_litert_host_keeps_its_memory_budget(tmp_path: Path) -> None:
    """After twenty inferences a LiteRT host takes at most 55 MiB and has mapped no heavy library."""

    async def story() -> tuple[float, str]:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, "tflite-int8"), probation=False)
            for _ in range(20):
                await asyncio.to_thread(call, host.port, "/v2/models/digits/infer", infer_body())
            return host.supervisor.rss_mb(), await asyncio.to_thread(Path(f"/proc/{host.pid}/maps").read_text)

    rss_mb, maps = asyncio.run(story())
    assert rss_mb <= 55
    assert [name for name in LIBRARIES if name in maps] == []
    assert "onnxruntime" not in maps
