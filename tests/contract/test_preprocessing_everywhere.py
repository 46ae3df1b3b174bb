"""Training, conversion and serving make bit-equal model inputs, for every kind of declared transform.

Each transform of the contract has a case here; one without a case fails. The three paths are the parts' own: what the
trainer feeds to Keras, what the converter calibrates and proves with, what the model host hands to a runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from msgspec import structs

from converter.calibration import model_inputs
from device_agent.host.engine import Engine
from fleet_contract.codec import encode
from fleet_contract.preprocessing import (
    Clip,
    Difference,
    Grayscale,
    Impute,
    Log1p,
    MinMax,
    OneHot,
    Robust,
    Scale,
    Select,
    Spectrum,
    Standardize,
    StandardizeEach,
    Transform,
    model_input,
)
from fleet_contract.release import decode_release
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.contract_documents import manifest, variant
from tests.fakes.host_session import FunctionSession
from trainer.data.dataset import Dataset, no_slices
from trainer.data.parts import Split
from trainer.data.schema import infer_schema
from trainer.stages import Prepared
from trainer.wrangling.transform_settings import (
    ClipSetting,
    ImputeSetting,
    Log1pSetting,
    MinMaxSetting,
    OneHotSetting,
    RobustSetting,
    ScaleSetting,
    SelectSetting,
    StandardizeSetting,
    Strategy,
    TransformSetting,
)
from trainer.wrangling.transforms import fit_transforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Steps = tuple[Transform, ...]

ROWS = 257
SHAPE = (9, 4, 3)
DTYPES = (DType.UINT8, DType.INT16, DType.FLOAT16, DType.FLOAT32)
CASES: dict[str, tuple[TransformSetting, ...]] = {
    "scale": (ScaleSetting(factor=1 / 3, offset=7.1),),
    "scale of one column": (ScaleSetting(factor=1 / 3, columns=(1,)),),
    "standardize": (StandardizeSetting(),),
    "standardize of two columns": (StandardizeSetting(columns=(2, 0)),),
    "standardize-each": (StandardizeEach(),),
    "clip": (ClipSetting(low=3.3, high=100.7),),
    "robust": (RobustSetting(),),
    "min-max": (MinMaxSetting(),),
    "min-max, clipped": (MinMaxSetting(clip=True, columns=(0,)),),
    "log1p": (Log1pSetting(columns=(0, 1)),),
    "signed log1p": (ScaleSetting(factor=1.7, offset=99.0), Log1pSetting(signed=True)),
    "impute": (ImputeSetting(strategy=Strategy.CONSTANT, value=-0.1),),
    "impute the mean, with indicator": (ImputeSetting(strategy=Strategy.MEAN, also=(7.0,), indicator=True),),
    "impute the median of a column": (ImputeSetting(strategy=Strategy.MEDIAN, also=(7.0,), columns=(1,)),),
    "one-hot": (OneHotSetting(columns=(2,), counts=(40,)),),
    "select": (SelectSetting(columns=(2, 0)),),
    "grayscale": (Grayscale(),),
    "difference": (Difference(lag=2),),
    "spectrum": (Spectrum(),),
    "all that keep a series": (
        ImputeSetting(strategy=Strategy.MEDIAN, also=(7.0,), indicator=True),
        SelectSetting(columns=(4, 1, 0)),
        RobustSetting(),
        ClipSetting(low=-2.5, high=2.5),
        Difference(),
        Spectrum(),
        Log1pSetting(),
        StandardizeSetting(),
        Grayscale(),
        StandardizeEach(),
    ),
}
KINDS = (
    *(Scale, Standardize, StandardizeEach, Clip, Robust, MinMax, Log1p),
    *(Impute, OneHot, Select, Grayscale, Difference, Spectrum),
)


def raw_rows(dtype: DType) -> NDArray[Any]:
    """Rows (B, 9, 4, 3) of values from 0 to 199, in floats not whole ones."""
    rng = np.random.default_rng(5)
    values = rng.integers(0, 200, (ROWS, *SHAPE)) if dtype in {DType.UINT8, DType.INT16} else None
    return (rng.uniform(0.0, 199.9, (ROWS, *SHAPE)) if values is None else values).astype(dtype.value)


def prepared(settings: tuple[TransformSetting, ...], raw_B: NDArray[Any]) -> Prepared:
    """The trainer's own state after the split, fitted on the first 200 rows."""
    data = Dataset(
        inputs_B=raw_B,
        labels_B=np.arange(ROWS) % 2,
        label_names=("no", "yes"),
        slices_B=no_slices(ROWS),
        source="test",
    )
    train_I, rest_I = np.arange(200), np.arange(200, ROWS)
    steps = fit_transforms(settings, raw_B[train_I])
    parts = Split(train_I=train_I, validation_I=rest_I, test_I=rest_I)
    return Prepared(data=data, schema=infer_schema(data), parts=parts, steps=steps)


def host_engine(steps: Steps, dtype: DType) -> tuple[Engine, FunctionSession]:
    """A model host's engine around a release that went over the wire; its session remembers what reaches the model."""
    raw = TensorSpec(name="input", dtype=dtype, shape=SHAPE)
    eats = structs.replace(model_input(raw, steps), name="x")
    document = manifest(inputs=(raw,), preprocessing=steps, variants=(variant(input=eats),))
    release = decode_release(encode(document))
    only = release.variants[0]
    session = FunctionSession(only.input, only.output, lambda input_B: np.zeros((len(input_B), 2), np.float32))
    return Engine(release, only, session), session


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_training_conversion_and_serving_agree_to_the_bit(settings: tuple[TransformSetting, ...], dtype: DType) -> None:
    """The model is served exactly what it was trained and proven on, one row at a time as in batches."""
    raw_B = raw_rows(dtype)
    state = prepared(settings, raw_B)
    trained_B = state.inputs(np.arange(ROWS)).inputs_B
    converted_B = model_inputs(state.steps, raw_B, what="rows")
    engine, session = host_engine(state.steps, dtype)
    engine.infer(raw_B)
    for row in range(0, ROWS, 16):
        engine.infer(raw_B[row : row + 1])
    together_B, *alone = session.seen
    assert trained_B.shape == (ROWS, *state.model_shape)
    assert trained_B.dtype == np.float32
    assert converted_B.tobytes() == trained_B.tobytes()
    assert together_B.tobytes() == trained_B.tobytes()
    assert np.concatenate(alone).tobytes() == trained_B[::16].tobytes()


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_how_an_array_lies_in_memory_changes_nothing(settings: tuple[TransformSetting, ...]) -> None:
    """Fortran order, a reversed view and a slice of a wider array give the same bits as a fresh copy."""
    raw_B = raw_rows(DType.FLOAT32)
    steps = prepared(settings, raw_B).steps
    engine, session = host_engine(steps, DType.FLOAT32)
    wide_B = np.zeros((ROWS, *SHAPE[:-1], 8), np.float32)
    wide_B[..., 2:5] = raw_B
    for view_B in (raw_B, np.asfortranarray(raw_B), raw_B[::-1].copy()[::-1], wide_B[..., 2:5]):
        engine.infer(view_B)
    assert len({seen_B.tobytes() for seen_B in session.seen}) == 1


@pytest.mark.parametrize("indicator", [False, True])
def test_a_missing_value_is_served_as_it_was_trained(indicator: bool) -> None:  # noqa: FBT001 - a case of the test
    """NaN in a raw row becomes the fitted number on the device too, and the indicator says so."""
    raw_B = raw_rows(DType.FLOAT32)
    raw_B[3, 2, 1, 0] = raw_B[210, 0, 0, 2] = np.nan
    state = prepared((ImputeSetting(strategy=Strategy.MEDIAN, indicator=indicator),), raw_B)
    engine, session = host_engine(state.steps, DType.FLOAT32)
    engine.infer(raw_B)
    trained_B = state.inputs(np.arange(ROWS)).inputs_B
    assert np.isfinite(trained_B).all()
    assert session.seen[0].tobytes() == trained_B.tobytes()
    if indicator:
        assert trained_B[..., 3:].sum() == 2.0
        assert trained_B[210, 0, 0].tolist()[3:] == [0.0, 0.0, 1.0]


def test_every_transform_has_a_case() -> None:
    """A transform that is new in the contract fails here until it is proven above."""
    covered = {type(step) for settings in CASES.values() for step in prepared(settings, raw_rows(DType.UINT8)).steps}
    assert covered == set(get_args(Transform)) == set(KINDS)


def test_every_setting_that_a_user_can_declare_is_proven() -> None:
    """No declared kind reaches the release but through the cases above."""
    declared = {type(setting) for settings in CASES.values() for setting in settings}
    assert declared == set(get_args(TransformSetting))
