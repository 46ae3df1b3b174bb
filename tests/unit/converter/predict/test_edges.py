"""Where distrust is due: bytes from children and servers, engines that are not there, figures on the terminal."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from converter.predict.chunk import Chunk, decode_chunk, encode_chunk
from converter.predict.console import Pace
from converter.predict.frames import TimedOutError, read_answer
from converter.predict.portions import BadRow, Span
from converter.predict.ray_engine import RayEngine
from converter.predict.released import choose_variant, from_server
from converter.predict.scoring import Scorer
from converter.predict.sources.source import open_source
from fleet_contract.api import ReleaseView
from fleet_contract.codec import encode
from fleet_contract.errors import ContractError, MissingExtraError, ModelError, TrustError
from fleet_contract.tensors import DType
from tests.fakes.contract_documents import EVIDENCE, NOON, blob, manifest, variant
from tests.fakes.converter_predict import SumSession, released

if TYPE_CHECKING:
    from pathlib import Path

SPAN = Span(index=0, start=10, count=3)
CHUNK = Chunk(
    np.array([[0.25, 0.75], [np.nan, np.nan], [1, 0]], np.float32),
    (BadRow(row=11, column="a", words="got nothing"),),
    ("a.png", "b.png", "c.png"),
)


def test_a_chunk_comes_back() -> None:
    """Scores, names and bad rows survive the way through bytes, and equal chunks give equal bytes."""
    data = encode_chunk(CHUNK)
    back = decode_chunk(data, SPAN, 2)
    np.testing.assert_array_equal(back.scores_BK, CHUNK.scores_BK)
    assert (back.bad, back.keys) == (CHUNK.bad, CHUNK.keys)
    assert encode_chunk(back) == data


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (Chunk(CHUNK.scores_BK[:2], CHUNK.bad), "scores"),
        (Chunk(CHUNK.scores_BK, ()), "not those that it names"),
        (Chunk(CHUNK.scores_BK, (BadRow(row=13, column="", words=""),)), "one of its rows"),
        (Chunk(CHUNK.scores_BK, CHUNK.bad, ("a.png",)), "names"),
    ],
)
def test_a_chunk_of_something_else_is_refused(chunk: Chunk, words: str) -> None:
    """A child that ran a hostile model cannot pass off other rows, or NaN as a score."""
    with pytest.raises(ContractError, match=words):
        decode_chunk(encode_chunk(chunk), SPAN, 2)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", encode_chunk(CHUNK)[:-40], b"\x93NUMPY\x01\x00"])
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    """Whatever a child sends ends as an error of ours."""
    with pytest.raises(ContractError):
        decode_chunk(data, SPAN, 2)


def test_an_answer_is_waited_for_and_not_for_ever() -> None:
    """A child that says too little is given up, one that left is noticed, one that says too much is refused."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"\0\0\0\0\0\0\0\x02R")
        with pytest.raises(TimedOutError):
            read_answer(reader, timeout_s=0.05, clock=monotonic)
        os.write(writer, b"\xff" * 8)
        with pytest.raises(ModelError, match="expected at most"):
            read_answer(reader, timeout_s=1, clock=monotonic)
    finally:
        os.close(writer)
    with pytest.raises(EOFError):
        read_answer(reader, timeout_s=1, clock=monotonic)
    os.close(reader)


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    """Scores of a file with other tensors would mean nothing."""
    from converter.predict.predicting import reading, score_job
    from converter.predict.request import Request

    np.save(tmp_path / "data.npy", np.zeros((1, 2), np.float32))
    request = Request(released=released(), data=tmp_path / "data.npy", out=tmp_path / "out.csv")
    job = score_job(request, open_source(request.data, reading(request)))
    session = SumSession(job)
    session.input = msgspec.structs.replace(session.input, dtype=DType.INT8, scale=0.5)
    with pytest.raises(ModelError, match="expected float32 of shape"):
        Scorer(job, session)


def test_without_a_wish_the_variant_nearest_to_the_float_model_runs() -> None:
    """Of two that are as near, the quicker one."""
    figures = {"far": (0.1, 1.0), "slow": (0.0, 3.0), "quick": (0.0, 2.0)}
    variants = tuple(
        variant(name, evidence=msgspec.structs.replace(EVIDENCE, mean_abs_error=error, latency_p50_ms=latency))
        for name, (error, latency) in figures.items()
    )
    document = manifest(variants=variants)
    assert choose_variant(document, "").id == "quick"
    assert choose_variant(document, "far").id == "far"
    with pytest.raises(ContractError, match="far, slow, quick"):
        choose_variant(document, "none")


@dataclass
class FakeServer:
    """A fleet server with one release; it sends what `blobs` hold, whatever is asked."""

    view: ReleaseView
    blobs: dict[str, bytes] = field(default_factory=dict)

    def release(self, model: str, version: int | str) -> ReleaseView:
        """See `ReleaseServer.release`."""
        assert (model, version) == ("eye", "champion")
        return self.view

    def get_blob(self, sha256: str) -> bytes:
        """See `ReleaseServer.get_blob`."""
        return self.blobs[sha256]


def serve(content: bytes) -> FakeServer:
    """A server whose one variant is `content`."""
    from hashlib import sha256

    digest = sha256(content).hexdigest()
    document = manifest(variants=(variant(blob=msgspec.structs.replace(blob("m"), sha256=digest)),))
    release = sha256(encode(document)).hexdigest()
    view = ReleaseView(
        model="eye", version=1, release_sha256=release, published_at=NOON, published_by="ann", manifest=document
    )
    return FakeServer(view, {digest: content, release: encode(document)})


def test_a_release_comes_from_a_server(tmp_path: Path) -> None:
    """Manifest and file are fetched and held to their hashes."""
    found = from_server(serve(b"model"), "eye@champion", "", tmp_path)
    assert found.artifact.read_bytes() == b"model"
    assert str(found) == "eye v1 tflite-f32"


@pytest.mark.parametrize("which", [0, 1])
def test_other_bytes_than_the_hash_says_are_refused(tmp_path: Path, which: int) -> None:
    """A server that was broken into can send neither another model nor another manifest."""
    server = serve(b"model")
    server.blobs[list(server.blobs)[which]] += b" "
    with pytest.raises(TrustError, match="expected"):
        from_server(server, "eye@champion", "", tmp_path)


def test_a_release_has_a_model_and_a_version(tmp_path: Path) -> None:
    """`@` alone names nothing."""
    with pytest.raises(ContractError, match="MODEL@VERSION"):
        from_server(serve(b"model"), "@", "", tmp_path)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    from converter.predict.predicting import predict
    from converter.predict.request import Request
    from tests.fakes.converter_predict import SilentProgress

    np.save(tmp_path / "data.npy", np.zeros((1, 2), np.float32))
    request = Request(released=released(), data=tmp_path / "data.npy", out=tmp_path / "out.csv")
    with pytest.raises(MissingExtraError) as caught:
        predict(request, RayEngine(), progress=SilentProgress(), elapsed_s=lambda: 0.0)
    assert "edgeferry[ray]" in caught.value.hint


def test_time_left_is_reckoned_from_this_run() -> None:
    """What an earlier run finished makes nothing look quicker."""
    times = iter([100.0, 110.0])
    pace = Pace(lambda: next(times))
    assert pace.words(5000, 0.5) == ""
    assert pace.words(6000, 0.6) == ", 100 rows/s, 0:00:40 left"
