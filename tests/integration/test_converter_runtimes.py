"""Real runtimes: artifacts timed against each other, environments made with pip, and variants run in old runtimes.

The last need EDGEFERRY_TEST_RUNTIMES, a folder with tflite-runtime 2.14.0 and ai-edge-litert 1.4.0 (`make runtimes`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from converter.environments.known import Environment, known_environments, parse_pin
from converter.environments.pythons import Python, find_pythons, first_of_each_version, probe
from converter.environments.setup import add_environment
from converter.process.jobs import DESCRIBED_FILE, Described, DescribeJob, ProveJob
from converter.process.sandbox import Limits, run_job
from converter.proof.compatibility import Declared, declare
from converter.proof.latency import compare_latency
from converter.proof.oldest import Subject, prove_elsewhere
from converter.proof.trial import run_variant
from converter.recipe import parse_recipe
from fleet_contract.codec import decode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError, MissingExtraError, ModelError, UnreachableError
from tests.fakes.converter_candidates import RecordingProgress
from tests.fakes.converter_runtime_models import ROWS_FILE, model_folder

LIMITS = Limits(timeout_s=60.0, memory_mb=4096)
FOLDER = os.environ.get("EDGEFERRY_TEST_RUNTIMES", "")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
needs_environments = pytest.mark.skipif(not FOLDER, reason="EDGEFERRY_TEST_RUNTIMES names no folder (make runtimes)")


def artifact(recipe: str) -> tuple[Runtime, Path]:
    """The digits CNN made by that recipe."""
    runtime = parse_recipe(recipe).runtime
    return runtime, model_folder() / f"{recipe}.{runtime}"


def environment(pin: str) -> Environment:
    """The environment of that name, which must be there."""
    return next(each for each in known_environments(Path(FOLDER)) if str(each.pin) == pin)


@pytest.mark.slow
def test_artifacts_of_both_runtimes_are_timed_together(tmp_path: Path) -> None:
    """Each gets a latency, and the same file twice gets nearly the same one."""
    artifacts = {
        "float": artifact("tflite-f32"),
        "float again": artifact("tflite-f32"),
        "onnx": artifact("onnx-f32"),
    }
    p50_ms = compare_latency(artifacts, model_folder() / ROWS_FILE, tmp_path / "run", LIMITS, duration_s=1.0)
    assert set(p50_ms) == set(artifacts)
    assert all(0.0 < latency < 50.0 for latency in p50_ms.values())
    assert 0.7 < p50_ms["float"] / p50_ms["float again"] < 1.4


@pytest.mark.slow
def test_an_artifact_that_cannot_be_loaded_names_the_comparison(tmp_path: Path) -> None:
    """The reason comes back as an error of ours."""
    junk = tmp_path / "junk.tflite"
    junk.write_bytes(b"not a model")
    artifacts = {"float": artifact("tflite-f32"), "junk": (Runtime.TFLITE, junk)}
    with pytest.raises(ModelError, match=r"latency of float, junk: junk\.tflite: ai-edge-litert cannot load it"):
        compare_latency(artifacts, model_folder() / ROWS_FILE, tmp_path / "run", LIMITS)


def test_nothing_to_compare_takes_no_process(tmp_path: Path) -> None:
    """No artifact, no latency."""
    assert compare_latency({}, tmp_path / "none.npy", tmp_path / "run", LIMITS) == {}
    assert not (tmp_path / "run").exists()


def test_a_runtime_that_is_not_installed_names_its_extra(tmp_path: Path) -> None:
    """A job for tflite-runtime does not silently run in ai-edge-litert."""
    job = ProveJob(runtime=Runtime.TFLITE, artifact="x", inputs="x", timed_runs=0, package="tflite-runtime")
    with pytest.raises(MissingExtraError, match="tflite-runtime") as caught:
        run_job(job, tmp_path, what="variant x", limits=LIMITS)
    assert "edgeferry[tflite-runtime]" in caught.value.hint


def test_what_does_not_run_is_no_python(tmp_path: Path) -> None:
    """Version managers leave scripts on PATH that only complain."""
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert probe(shim) is None
    assert probe(tmp_path / "none") is None
    with pytest.raises(ConfigError, match="does not run, or lacks venv"):
        find_pythons(shim)


def test_this_python_is_the_first_choice() -> None:
    """Environments are made with it unless there is no wheel for it."""
    assert find_pythons()[0] == Python(Path(sys.executable), sys.version_info[:2])


def test_pythons_that_are_too_old_are_left_out() -> None:
    """One of each version, from 3.11 on."""
    found = [Python(Path(name), version) for name, version in (("a", (3, 9)), ("b", (3, 12)), ("c", (3, 12)))]
    assert first_of_each_version(found) == (found[1],)


@pytest.mark.slow
def test_without_a_network_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the index does not answer, and no half environment is there."""
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    for name, value in {**offline, "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    progress = RecordingProgress()
    with pytest.raises(UnreachableError, match="pip cannot reach its package index"):
        add_environment(parse_pin("ai-edge-litert==1.4.0"), tmp_path / "root", now=NOW, progress=progress)
    assert list((tmp_path / "root").iterdir()) == []
    assert progress.stages[-1] == "install ai-edge-litert==1.4.0"


@needs_environments
@pytest.mark.parametrize("pin", ["ai-edge-litert==1.4.0", "tflite-runtime==2.14.0"])
def test_a_child_elsewhere_sees_nothing_of_ours_but_our_code(tmp_path: Path, pin: str) -> None:
    """The other environment's own runtime and numpy are used, not those beside our packages."""
    there = environment(pin)
    job = DescribeJob(package=there.pin.package)
    run_job(job, tmp_path, what=pin, limits=LIMITS, python=there.python)
    described = decode((tmp_path / DESCRIBED_FILE).read_bytes(), Described)
    assert described.runtime_version == there.pin.version
    assert described.numpy_version == there.record.numpy_version
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == [
        "converter",
        "fleet_contract",
        "fleet_files",
    ]


@needs_environments
def test_proving_needs_only_numpy_and_msgspec(tmp_path: Path) -> None:
    """What the child imports is the standard library, these two and ours: nothing else is installed there."""
    there = environment("tflite-runtime==2.14.0")
    run_job(DescribeJob(package="tflite-runtime"), tmp_path, what="x", limits=LIMITS, python=there.python)
    code = (
        "import sys, converter.process.child, converter.process.prove;"
        "files = {name for name, module in sys.modules.items() if getattr(module, '__file__', None)};"
        "print(*{name.partition('.')[0] for name in files} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [str(there.python), "-P", "-c", code],
        env={"PYTHONPATH": str(tmp_path / "packages")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) - {"__main__", "sitecustomize"} == {
        "converter",
        "fleet_contract",
        "fleet_files",
        "msgspec",
        "numpy",
    }


BOTH = {"ai-edge-litert": "1.4.0", "tflite-runtime": "2.14.0"}
NEW_ONLY = {"ai-edge-litert": "1.4.0"}
EXPECTED = {"tflite-f32": BOTH, "tflite-int8": BOTH, "tflite-dyn-int8": NEW_ONLY, "tflite-int4": NEW_ONLY}


@needs_environments
@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "implementations"), EXPECTED.items(), ids=EXPECTED.keys())
def test_a_variant_is_declared_for_the_runtimes_in_which_it_ran(
    tmp_path: Path, recipe: str, implementations: dict[str, str]
) -> None:
    """Float and int8 run in tflite-runtime 2.14; dynamic int8 does not load there, and int4 gives other scores."""
    runtime, path = artifact(recipe)
    rows = model_folder() / ROWS_FILE
    parsed = parse_recipe(recipe)
    proof, scores_BK = run_variant(parsed, path, rows, tmp_path / "here", limits=LIMITS)
    subject = Subject(parsed, path, np.load(rows), proof, scores_BK)
    here = [environment("ai-edge-litert==1.4.0"), environment("tflite-runtime==2.14.0")]
    proofs = prove_elsewhere(here, subject, folder=tmp_path / "there", limits=LIMITS)
    assert declare(runtime, proofs) == Declared("1.4.0", implementations)
    assert all(proof.ok or proof.reason for proof in proofs)


@needs_environments
def test_environments_of_another_family_are_left_alone(tmp_path: Path) -> None:
    """An ONNX file is not tried in TFLite runtimes."""
    path, rows, recipe = artifact("onnx-f32")[1], model_folder() / ROWS_FILE, parse_recipe("onnx-f32")
    proof, scores_BK = run_variant(recipe, path, rows, tmp_path / "here", limits=LIMITS)
    subject = Subject(recipe, path, np.load(rows), proof, scores_BK)
    litert = [environment("ai-edge-litert==1.4.0")]
    proofs = prove_elsewhere(litert, subject, folder=tmp_path / "there", limits=LIMITS)
    assert [each.package for each in proofs] == ["onnxruntime"]
