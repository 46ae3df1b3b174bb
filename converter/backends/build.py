"""A build job: one model through several recipes, each outcome on disk as soon as it is there.

A recipe that raises is recorded and the next one goes on; one that kills the process leaves the results before it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from converter.backends.forms import open_forms
from converter.plan import Plan, Quantizer
from converter.process.jobs import REFERENCE_FILE, BuildJob, Built
from converter.recipe import Precision, Ranges, Recipe, parse_recipe
from converter.search import Goal, Search, calibration_plans
from converter.trial_log import TrialLog, digest
from fleet_contract.codec import encode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.backends.forms import Forms
    from converter.search import Found

FEW_ROWS: Final = 32
"""Fewer calibration rows that the search tries beside all of them: rare extremes then do not widen the ranges."""


class _Made(NamedTuple):
    """An artifact, and what the search found on the way."""

    data: bytes
    plan: Plan | None = None
    complete: bool = True


def build(job: BuildJob, folder: Path) -> None:
    """Does `job`; the results are files in `folder`.

    Raises:
        ModelError: the model cannot be loaded or run.
        ContractError: its shapes are not the candidate's.
    """
    forms = open_forms(job, folder)
    if job.reference:
        np.save(folder / REFERENCE_FILE, forms.scores(np.load(job.holdout)))
    builder = _Builder(forms, job)
    for name in job.recipes:
        built = _build_one(builder, parse_recipe(name), folder)
        write_file(folder / f"{name}.result.json", encode(built))


def _build_one(builder: _Builder, recipe: Recipe, folder: Path) -> Built:
    started = perf_counter()
    path = folder / recipe.file_name
    try:
        made = builder.make(recipe)
    except ModelError as error:
        return Built(recipe=recipe.name, error=error.message, duration_s=perf_counter() - started)
    write_file(path, made.data)
    return Built(
        recipe=recipe.name,
        artifact=path.name,
        resolved=_resolved(recipe, made.plan),
        float_layers=made.plan.float_layers if made.plan else (),
        int4_layers=made.plan.int4_layers if made.plan else (),
        search_complete=made.complete,
        duration_s=perf_counter() - started,
    )


def _resolved(recipe: Recipe, plan: Plan | None) -> str:
    if plan is None:
        return recipe.name
    return Recipe(recipe.runtime, recipe.precision, plan.ranges, plan.bias).name


class _Builder:
    """Makes artifacts; what several recipes need is made once."""

    def __init__(self, forms: Forms, job: BuildJob) -> None:
        self._forms = forms
        self._job = job

    def make(self, recipe: Recipe) -> _Made:
        """The artifact of a recipe.

        Raises:
            ModelError: it cannot be made, and why.
        """
        if recipe.static:
            return self._static(recipe)
        return _Made(self._plain_tflite(recipe) if recipe.runtime is Runtime.TFLITE else self._plain_onnx(recipe))

    def _plain_tflite(self, recipe: Recipe) -> bytes:
        from converter.backends.tflite import litert
        from converter.backends.tflite.slim import slim

        data = self._forms.tflite().read_bytes()
        if recipe.precision is Precision.FLOAT16:
            data = litert.half(data)
        elif recipe.precision is Precision.DYNAMIC_INT8:
            data = litert.dynamic_int8(data)
        return slim(data)

    def _plain_onnx(self, recipe: Recipe) -> bytes:
        from converter.backends.onnx import model as onnx_model

        path = self._forms.onnx()
        if recipe.precision is Precision.FLOAT16:
            return onnx_model.half(path)
        if recipe.precision is Precision.DYNAMIC_INT8:
            return onnx_model.dynamic_int8(path)
        return path.read_bytes()

    def _static(self, recipe: Recipe) -> _Made:
        if recipe.ranges is Ranges.TF:
            from converter.backends.tflite.slim import slim

            return _Made(slim(self._forms.tf_int8(self._calibration)))
        quantizer = self._quantizer(recipe)
        found = self._searched(recipe, quantizer)
        return _Made(quantizer.quantize(found.plan), found.plan, found.complete)

    def _searched(self, recipe: Recipe, quantizer: Quantizer) -> Found:
        log = TrialLog(Path(f"{self._job.trials}-{_family(recipe)}.jsonl"), self._key(recipe))
        deadline = perf_counter() + self._job.search_s
        search = Search(
            quantizer,
            self._selection,
            Goal(self._job.min_top1_agreement, self._job.min_sqnr_db, self._job.max_size_bytes),
            record=log.add,
            known=log.known,
            time_is_up=lambda: perf_counter() > deadline,
        )
        found = search.calibration(_plans(recipe))
        if recipe.precision is Precision.INT8_MIXED:
            return search.rescue(found.plan)
        if recipe.precision is Precision.INT4:
            return search.int4(found.plan)
        return found

    def _quantizer(self, recipe: Recipe) -> Quantizer:
        if recipe.runtime is Runtime.TFLITE:
            return self._tflite_quantizer
        return self._onnx_quantizer

    @cached_property
    def _tflite_quantizer(self) -> Quantizer:
        from converter.backends.tflite.litert import TfliteQuantizer

        return TfliteQuantizer(self._forms.tflite().read_bytes(), self._calibration)

    @cached_property
    def _onnx_quantizer(self) -> Quantizer:
        from converter.backends.onnx.quantizer import OnnxQuantizer

        return OnnxQuantizer(self._forms.onnx(), self._calibration)

    @cached_property
    def _calibration(self) -> NDArray[np.float32]:
        rows_B: NDArray[np.float32] = np.load(self._job.calibration)
        return rows_B

    @cached_property
    def _selection(self) -> NDArray[np.float32]:
        rows_B: NDArray[np.float32] = np.load(self._job.selection)
        return rows_B

    def _key(self, recipe: Recipe) -> str:
        from converter.lineage import tool_versions

        form = self._forms.tflite() if recipe.runtime is Runtime.TFLITE else self._forms.onnx()
        goal = f"{self._job.min_top1_agreement} {self._job.min_sqnr_db} {self._job.max_size_bytes}"
        rows = (self._calibration.tobytes(), self._selection.tobytes())
        return digest([form.read_bytes(), *rows, goal, msgspec.json.encode(tool_versions(), order="sorted")])


def _family(recipe: Recipe) -> str:
    """Recipes of one family share trials: their plans mean the same."""
    return str(recipe.runtime)


def _plans(recipe: Recipe) -> list[Plan]:
    """What the calibration step tries for a recipe."""
    base = Plan(signed=recipe.precision is Precision.INT8_SIGNED)
    if recipe.ranges is not None:
        return [msgspec.structs.replace(base, ranges=recipe.ranges, bias=recipe.bias)]
    choices: dict[str, tuple[object, ...]] = {"calibration_rows": (0, FEW_ROWS), "ranges": (Ranges.MINMAX, Ranges.MSE)}
    if recipe.runtime is Runtime.TFLITE:
        choices["bias"] = (False, True)
    return calibration_plans(base, choices)
