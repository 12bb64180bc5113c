"""The project: role, data, switches, sweeps, tracking; all parameters together."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from po_optimizer.params.base import Count, Params
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.optimize import OptimizeParams

RoleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class RoleParams(Params):
    """The role: its program and metric, by import path, and what its records are."""

    # its file is conf/base/roles/<name>.yml or roles/<name>/role.yml
    name: RoleName = "product_owner"  # names its folders and its file
    program: str = ""  # dspy.Module class, a function that makes one, or a program
    program_args: dict[str, Any] = Field({})  # its arguments
    metric: str = ""  # function that scores an answer, 0 to 1
    metric_args: dict[str, Any] = Field({})  # its further arguments
    metric_reads: Literal["values", "yaml"] = "values"  # yaml: documents are text
    record: str = ""  # pydantic class of a record; "": any columns
    inputs: list[str] = Field([])  # columns that are inputs; []: what forward takes
    outputs: list[str] = Field([])  # columns that no record may lack
    stratum: list[str] = Field([])  # fields that splits are balanced over
    group: str | None = None  # column; records of one value share a split
    integration: str | None = None  # its own last stage; null: predict


def _check_size(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One problem instead of one for each kind of number."""
    try:
        return validate(value)
    except ValidationError as error:
        msg = "it is no number of examples (1 or more), nor a share between 0 and 1"
        raise ValueError(msg) from error


Size = Annotated[
    PositiveInt | Annotated[float, Field(gt=0.0, lt=1.0)], WrapValidator(_check_size)
]


class SplitSizes(Params):
    """Size of each split: a number of examples, or a share of them between 0 and 1."""

    train: Size = 6  # examples that demos are taken from
    val: Size = 3  # examples that candidates are chosen on
    test: Size = 12  # examples that the result is measured on

    @model_validator(mode="after")
    def _shares_fit(self) -> "SplitSizes":
        shares = [s for s in (self.train, self.val, self.test) if isinstance(s, float)]
        if sum(shares) > 1.0 + 1e-9:
            msg = f"the shares add up to {sum(shares):g}, at most 1"
            raise ValueError(msg)
        return self


class DataPrepParams(Params):
    """How records become disjoint splits."""

    sizes: SplitSizes = SplitSizes()  # of the splits that have no file
    trainset: str | None = None  # a file that is the whole trainset
    valset: str | None = None  # a file that is the whole valset
    testset: str | None = None  # a file that is the whole testset
    seed: int = 9  # of the draw
    testset_draw: Count = 0  # k: the k-th unused testset
    # Cosine of weighted word pairs; 1.0: the same pairs only
    near_duplicate_similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4


_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def _switch(value: object) -> bool:
    """A switch as people write it; other words are refused."""
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    allowed = f"{'/'.join(_TRUE)} or {'/'.join(_FALSE)}"
    raise ValueError(f"{value!r} is no switch: {allowed} (USE_DSPY_PO sets it, too)")


class FeaturesParams(Params):
    """Switches of what runs in production."""

    use_dspy_product_owner: Annotated[bool, BeforeValidator(_switch)] = True


class SweepConfiguration(Params):
    """One optimization of a sweep: its name, and what differs from the rest."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]  # also of its folder
    data_prep: dict[str, Any] | None = None  # only sizes.train and sizes.val
    optimize: dict[str, Any] | None = None  # what differs in `optimize`
    lm: dict[str, Any] | None = None  # what differs in `lm`
    prompt_lm: dict[str, Any] | None = None  # what differs in `prompt_lm`


class SweepParams(Params):
    """The configurations of a sweep, and the Dask workers that run them."""

    configurations: list[SweepConfiguration] = Field([])
    workers: PositiveInt = 1  # processes on this machine
    scheduler: str | None = None  # a Dask cluster, tcp://host:8786

    @field_validator("configurations")
    @classmethod
    def _names_differ(
        cls, configurations: list[SweepConfiguration]
    ) -> list[SweepConfiguration]:
        names = [configuration.name for configuration in configurations]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            msg = f"each needs a name of its own, taken twice: {', '.join(repeated)}"
            raise ValueError(msg)
        return configurations


class PredictParams(Params):
    """What the pipeline predict reads and writes."""

    inputs: str | None = None  # file of rows with the program's inputs
    outputs: str | None = None  # JSON Lines file; null: in data/07_model_output


class MLflowParams(Params):
    """Where MLflow keeps runs."""

    uri: str | None = None  # sqlite:///mlruns.db, http://host:5000; null: MLflow's own
    experiment: str = "po_optimizer"  # made when missing
    traces: Annotated[int, Field(ge=0)] = 3  # worst examples that are traced


class OTelParams(Params):
    """Where OpenTelemetry's spans of LM calls and modules go."""

    exporter: Literal["otlp", "console"] = "otlp"  # to a server, or printed
    endpoint: str | None = None  # http://host:4318/v1/traces; null: OTEL_ variables


class TrackingParams(Params):
    """What is told of a run to other tools; each is off until it has a line."""

    mlflow: MLflowParams | None = None  # null: off, unless MLFLOW_TRACKING_URI is set
    otel: OTelParams | None = None  # null: off


class Parameters(BaseModel):
    """All parameters of a run: base, role, environment and `--params` together.

    Names of the first level that do not stand here are the project's own. A group that
    is left out has the defaults of its model.
    """

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    role: RoleParams = RoleParams()
    lm: dict[str, Any] = {}  # LMParams; lms.selection completes it
    prompt_lm: dict[str, Any] = {}  # keys of LMParams that go over `lm`
    data_prep: DataPrepParams = DataPrepParams()
    optimize: OptimizeParams = OptimizeParams()
    promotion: PromotionParams = PromotionParams()
    evaluate: EvaluateParams = EvaluateParams()
    predict: PredictParams = PredictParams()
    features: FeaturesParams = FeaturesParams()
    sweep: SweepParams = SweepParams()
    tracking: TrackingParams = TrackingParams()
    folder_suffix: str = ""  # of the LM's folder: results of the same LM apart
    sweep_folder: str = ""  # of a configuration, set by the sweep
    program_from: str | None = None  # folder in data/06_models, or a document
    raw_records: str | None = None  # file of records; null: the role's
    concept: str | None = None  # what the product is
    requirements: str | None = None  # file; null: the example
    requirements_optional: bool = False  # the file may be missing
    existing_vision: str | None = None  # file; null: the vision of the last run

    @field_validator("lm", "prompt_lm", mode="before")
    @classmethod
    def _check_group(cls, value: Any) -> Any:
        """A model's name is not a group; a group without a line is an empty one."""
        if value is None or isinstance(value, Mapping):
            return value or {}
        text = "it is a group of parameters: name one, as in --params lm.model=NAME"
        raise PydanticCustomError("group", text)
