"""One collection of inputs inside a host: a sampler for a while, then its choice over the channel."""

from __future__ import annotations

import asyncio
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from device_agent.host.channel import Collected, Sample
from device_agent.sampling import Sampler, to_upload

if TYPE_CHECKING:
    from random import Random

    from device_agent.host.channel import Channel, Collect, Command, Report
    from device_agent.host.inference import InferenceWorker
    from fleet_contract.release import ReleaseManifest


class Collection:
    """Runs until its time is over or `finish` is called; another one waits for it."""

    def __init__(
        self, worker: InferenceWorker, channel: Channel[Command, Report], manifest: ReleaseManifest, rng: Random
    ) -> None:
        self._worker = worker
        self._channel = channel
        self._manifest = manifest
        self._rng = rng
        self._finished = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def finish(self) -> None:
        """Ends what runs, and all that come later, at once; returns when what was chosen so far is sent."""
        self._finished.set()
        async with self._one_at_a_time:
            return

    async def run(self, collect: Collect) -> None:
        """Offers inputs to a sampler for `collect.duration_s`, then sends the choice and `Collected`."""
        async with self._one_at_a_time:
            await self._worker.swap_sampler(self._sampler(collect))
            try:
                await asyncio.wait_for(self._finished.wait(), collect.duration_s)
            except TimeoutError:
                pass
            finally:
                sampler = await self._worker.swap_sampler(None)
            if sampler is not None:
                await self._send(sampler, collect.id)
            self._channel.send(Collected(collect.id))

    async def _send(self, sampler: Sampler, collect_id: int) -> None:
        manifest = self._manifest
        for why, seen in sampler.chosen():
            upload = to_upload(why, seen, model=manifest.model, version=manifest.version, labels=manifest.labels)
            self._channel.send(Sample(collect_id, upload))
            await self._channel.drain()

    def _sampler(self, collect: Collect) -> Sampler:
        spec = self._manifest.inputs[0]
        return Sampler(
            max_samples=collect.max_samples,
            max_bytes=collect.max_bytes,
            sample_bytes=prod(spec.shape) * np.dtype(spec.dtype.value).itemsize,
            rng=self._rng,
        )
