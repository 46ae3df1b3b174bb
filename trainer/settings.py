"""The project file `edgeferry.toml` as types: every key, its default and its limits.

Fractions, not points: 0.01 is one percentage point. An unknown key, a wrong type or a value out of its limits is an
error (`trainer.strict_toml`); a gate that cannot be read never passes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fleet_contract.candidate import GateOverrides, Keep, VariantGates
from fleet_contract.names import NameStr
from fleet_contract.release import Fraction
from trainer.judging.gate_settings import CiSection, DirectionalSection, InvarianceSection, PolicySection
from trainer.training.class_weight import ClassWeight
from trainer.training.distribute import Strategy
from trainer.training.precision import Precision
from trainer.tuning.settings import TuneSection
from trainer.wrangling.transform_settings import TransformSetting

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]

DEFAULT_RECIPES = ("tflite-f32", "tflite-int8", "onnx-f32")


class ProjectSection(Struct, frozen=True, kw_only=True):
    """`[project]`: the model's name, which is also its family in the registry."""

    name: NameStr


class SplitSection(Struct, frozen=True, kw_only=True):
    """`[data.split]`: shares of the rows. `fleet_test` is the test share of fleet samples.

    `by` draws them at `random`, stratified by label, or cuts by `time`: the oldest train, the newest test.
    """

    by: Literal["random", "time"] = "random"
    train: Share = 0.7
    validation: Share = 0.15
    test: Share = 0.15
    fleet_test: Share = 0.3
    seed: Seed = 0


class SchemaSection(Struct, frozen=True, kw_only=True):
    """`[data.schema]`: where the reviewed schema is, relative to the project."""

    path: str = "schema.json"


class DataSection(Struct, frozen=True, kw_only=True):
    """`[data]`: what to train on (docs/reference/data.md). `limit` 0 takes all rows.

    `label` and `features` (none: all others) name columns of a table or features of TFRecord examples, `slices`,
    `group` and `time` these or arrays of an NPZ file; `categorical` columns are categories though they look like
    numbers. `shape` is what one row becomes, `image_size` height and width; `channels` 0 takes what images
    have. `snapshot` is the file that pins the source; `max_bytes` is what the inputs may take in memory.
    `duplicates` says what to do when a test row is also in the training split: `remove` it there, or `refuse`.
    `near_duplicates` says what to do with training rows that are all but a held-out row: `tell`, `remove` or `refuse`.
    `report` says whether a training writes `data_report.html` beside the candidate.
    """

    source: str
    limit: Count = 0
    label: str = "label"
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    slices: str = ""
    group: str = ""
    time: str = ""
    shape: tuple[Positive, ...] = ()
    separator: Annotated[str, Meta(pattern=r"^[,;|\t ]\Z")] = ","
    image_size: tuple[Positive, Positive] | None = None
    channels: Annotated[int, Meta(ge=0, le=4)] = 0
    max_bytes: Positive = 4 * 1024**3
    snapshot: str = "snapshot.json"
    duplicates: Annotated[str, Meta(pattern=r"^(remove|refuse)\Z")] = "remove"
    near_duplicates: Literal["tell", "remove", "refuse"] = "tell"
    report: bool = True
    split: SplitSection = SplitSection()
    schema: SchemaSection = SchemaSection()
    policy: PolicySection = PolicySection()


class PreprocessingSection(Struct, frozen=True, kw_only=True):
    """`[preprocessing]`: steps from a raw input to what the model eats; they travel with the release."""

    transforms: tuple[TransformSetting, ...] = ()


class ModelSection(Struct, frozen=True, kw_only=True):
    """`[model]`: the file with `build_model`, and `train_model` if it has one, and what is passed to the first."""

    file: str = "model.py"
    hyperparameters: dict[str, bool | int | float | str] = {}


class TrainSection(Struct, frozen=True, kw_only=True):
    """`[train]`: how to fit.

    `early_stopping_patience` counts epochs without a better validation loss, 0 never stops early; `fleet_share` is the
    share of fleet samples in an epoch, reached by repeating each at most `fleet_max_repeats` times, the rest being a
    replay of the base data. Without a `learning_rate` Adam has 0.001; a model that `build_model` compiled takes none.
    """

    epochs: Positive = 20
    batch_size: Positive = 64
    learning_rate: Annotated[float, Meta(gt=0.0, le=10.0)] | None = None
    class_weight: ClassWeight = ClassWeight.NONE
    early_stopping_patience: Count = 5
    seed: Seed = 0
    fleet_share: Share = 0.5
    fleet_max_repeats: Positive = 10
    strategy: Strategy = Strategy.NONE
    precision: Precision = Precision.FLOAT32


class ResourcesSection(Struct, frozen=True, kw_only=True):
    """`[resources]`: what a run may take of the machine.

    `threads` 0 leaves their number to TensorFlow; `memory_mb` 0 sets no limit but
    the machine's; `gpu` numbers those to use; `priority` is the nice value, 0 that of other programs, 19 the least.
    `oversize` starts a run although its estimate does not fit, and lets it go beyond `memory_mb`.
    """

    threads: Count = 0
    memory_mb: Count = 0
    gpu: Literal["auto", "none"] | tuple[Count, ...] = "auto"
    priority: Annotated[int, Meta(ge=0, le=19)] = 10
    oversize: bool = False


class ValidateSection(Struct, frozen=True, kw_only=True):
    """`[validate]`: the gates of the verdict.

    `champion_alpha` is the level of the exact one-sided McNemar test for "worse than the champion"; slices with fewer
    than `min_slice_samples` test rows are reported and not gated. `min_gain_over_baseline` is over always answering the
    commonest class, `min_gain_over_simple_model` over the best of two models of scikit-learn that anybody would try
    first; -1 only measures it. `max_churn` bounds the share of rows that champion and candidate decide differently,
    `max_lost` the share that only the champion gets right, `max_slice_gap` how far the worst slice is behind the best;
    `min_class_recall` is asked of every class with at least `min_slice_samples` test rows.
    """

    min_accuracy: Fraction
    min_gain_over_baseline: Fraction = 0.05
    min_gain_over_simple_model: Annotated[float, Meta(ge=-1.0, le=1.0)] = -1.0
    max_champion_regression: Fraction = 0.01
    champion_alpha: Share = 0.05
    max_churn: Fraction = 1.0
    max_lost: Fraction = 1.0
    min_slice_accuracy: Fraction = 0.0
    min_slice_samples: Positive = 20
    max_slice_gap: Fraction = 1.0
    min_class_recall: Fraction = 0.0
    max_calibration_error: Fraction = 1.0
    invariance: tuple[InvarianceSection, ...] = ()
    directional: tuple[DirectionalSection, ...] = ()


class ConvertSection(Struct, frozen=True, kw_only=True):
    """`[convert]`: recipes for the converter and the gates of every variant.

    `[convert.targets.NAME]` sets other gates for one target of `edgeferry convert --target`; `keep` publishes `all`
    variants that passed, or only the `front`: those that no other of the same runtime beats in everything.
    """

    recipes: Annotated[tuple[NameStr, ...], Meta(min_length=1)] = DEFAULT_RECIPES
    keep: Keep = Keep.ALL
    gates: VariantGates = VariantGates()
    targets: dict[NameStr, GateOverrides] = {}


class ProjectFile(Struct, frozen=True, kw_only=True):
    """The whole of `edgeferry.toml`."""

    project: ProjectSection
    data: DataSection
    preprocessing: PreprocessingSection = PreprocessingSection()
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    resources: ResourcesSection = ResourcesSection()
    tune: TuneSection = TuneSection()
    validate: ValidateSection
    convert: ConvertSection = ConvertSection()
    ci: CiSection = CiSection()
