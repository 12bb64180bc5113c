"""Optimize and measure a DSPy program from Python, with the guards of the project.

The Kedro stages call the same steps; what differs is where the results lie: here, in
one folder of the caller's.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import dspy
from pydantic import BaseModel, ValidationError

from po_optimizer.console.live import show_progress, watch
from po_optimizer.errors import (
    InterruptedRunError,
    PoOptimizerError,
    SettingError,
    field_problems,
    listed,
    needs_extra,
)
from po_optimizer.evaluation import (
    Origin,
    PredictionRecord,
    Promotion,
    RunUsage,
    ScoreReport,
    judge_programs,
    predict_all,
)
from po_optimizer.evaluation.estimates import Estimate
from po_optimizer.evaluation.predictions import json_ready
from po_optimizer.files import write_whole
from po_optimizer.lms import MeteredLM, orderly_interrupt, stop_lms_in_use
from po_optimizer.lms.build import lm_of
from po_optimizer.optimization import (
    Forecast,
    Job,
    OptimizationReport,
    OptimizationResult,
    Trial,
    forecast,
    preflight,
    read_journal,
    with_headroom,
)
from po_optimizer.optimization import optimize as run_optimizer
from po_optimizer.optimization.inputs import RunInputs, write_inputs
from po_optimizer.optimization.journal import changes_since
from po_optimizer.optimization.report import Event, Started, tell
from po_optimizer.optimization.run_identity import run_fingerprint
from po_optimizer.params import OptimizeParams, PromotionParams, RoleParams
from po_optimizer.persistence import attach_provenance, get_provenance, save_program
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.records import records_hash
from po_optimizer.records.in_memory import (
    Rows,
    check_unseen,
    examples_of,
    make_splits,
    note_seen,
)
from po_optimizer.roles.build import (
    Synchronous,
    check_metric,
    check_program,
    name_of,
)
from po_optimizer.roles.metric import Metric

logger = logging.getLogger(__name__)
P = TypeVar("P", bound=BaseModel)

LM: TypeAlias = dspy.BaseLM | str
"""A `dspy.LM` (or any LM class of one's own), or a model string."""

Optimizer = Literal["miprov2", "gepa", "bootstrap_random_search"]


@dataclass(frozen=True)
class Optimized:
    """The result of an optimization.

    Attributes:
        program: The best program on the valset; the student itself if none was better.
        report: How it went: baseline and best score in [0, 1], how it ended, LM calls,
            tokens, cost in US dollars and seconds over all restarts.
        trials: Every candidate that was scored, in order; the first is the baseline.
        folder: Where everything is stored, `program.json` too.
    """

    program: dspy.Module
    report: OptimizationReport
    trials: list[Trial]
    folder: Path


_GROUPS = re.compile(
    r"\b(role|optimize(\.(miprov2|gepa|bootstrap_random_search))?)\.(?=\w)"
)


@contextmanager
def _names_of_arguments() -> Iterator[None]:
    """Errors say what the caller wrote, `metric`; in a project it is `role.metric`."""
    try:
        yield
    except PoOptimizerError as error:
        error.args = (_GROUPS.sub("", str(error)),)
        raise


@_names_of_arguments()
def optimize(
    program: dspy.Module,
    *,
    trainset: Rows,
    valset: Rows = None,
    metric: Metric,
    lm: LM,
    prompt_lm: LM | None = None,
    optimizer: Optimizer = "miprov2",
    folder: str | Path,
    budget: Mapping[str, float] | None = None,
    seed: int = 9,
    num_threads: int | None = None,
    on_change: Literal["stop", "restart"] = "stop",
    **settings: Any,
) -> Optimized:
    """Find the program that scores best on the valset, and store it with a report.

    Before anything is paid, a preflight checks that the optimization can succeed, and
    a forecast says what it takes. After a crash, a lost LM or Ctrl-C the same call
    continues from the folder and pays only for calls that were cut off. After the end
    it returns the same result and pays nothing.

    Args:
        program: A `dspy.Module`, hand-written or optimized before; it is not changed.
        trainset: Demos are taken from it: `dspy.Example`s, dicts or a DataFrame. If
            inputs are not marked, they are the arguments of the program's forward.
        valset: Candidates are chosen on it; None: half of the trainset.
        metric: A function `(example, prediction)`, perhaps with `trace` and what GEPA
            adds, that returns a number in [0, 1], a bool, or a Prediction with `score`
            and `feedback`.
        lm: Runs the program: an LM, or "openai/gpt-4o-mini", "ollama_chat/mistral",
            "embedded". DSPy's configured adapter is used.
        prompt_lm: Writes instructions; None: `lm`.
        optimizer: miprov2, gepa or bootstrap_random_search.
        folder: For this optimization alone; it is made if it is missing.
        budget: Limits over all restarts: max_calls, max_tokens, max_cost_usd (US
            dollars), max_minutes. When one is reached, the search ends with the best
            program so far (`report.ended == "budget"`).
        seed: Of every random choice.
        num_threads: LM calls at a time; None: what the server can, else 8.
        on_change: "restart" begins anew in a folder that holds another optimization.
        settings: The optimizer's, under DSPy's names (num_trials, auto ...), and
            `headroom`, `floor_stop`, `floor_usable`, `preflight`, as in
            parameters_optimize.yml.

    Raises:
        SettingError: An argument cannot work, a row is no example of the program, or
            the folder is another run's.
        PreflightError: The optimization could not succeed; its `report` says why.
        InterruptedRunError: Ctrl-C; the best program so far is in the folder.
        PoOptimizerError: The LM stayed unreachable, the disk is full, and the like.
    """
    show_log()
    chosen = {"seed": seed, "budget": budget or {}, "on_change": on_change}
    params = _params(optimizer, {**chosen, **settings})
    student, place = check_program("program", program), _folder(folder)
    train, val = make_splits(trainset, valset, student, seed)
    task_lm = _lm("lm", lm, place, num_threads)
    job = Job(
        student=student,
        trainset=train,
        valset=val,
        metric=check_metric(metric),
        task_lm=task_lm,
        prompt_lm=_lm("prompt_lm", prompt_lm or lm, place, num_threads),
        params=params,
    )
    _check_same_run(job, place)
    note_seen({"trainset": train, "valset": val}, place)
    with orderly_interrupt(stop_lms_in_use):
        report = preflight(job, disk_path=place)
    _write(place / "preflight_report.json", report)
    expected = with_headroom(job, forecast(job, report))
    _write(place / "forecast.json", expected)
    result = search(job, place, expected)
    provenance = result.report.provenance(
        splits={"trainset": len(train), "valset": len(val)}, metric=name_of(metric)
    )
    program = result.program
    if isinstance(program, Synchronous):  # it was only for the optimizer
        program = program.program
    program = attach_provenance(program, provenance)
    save_program(program, place / "program.json")
    _write(place / "optimization_report.json", result.report)
    if result.report.ended == "interrupted":
        msg = (
            f"the optimization was stopped: {result.report.reason} The best program so "
            f"far is {place / 'program.json'}; the same call continues."
        )
        raise InterruptedRunError(msg)
    if result.report.ended == "budget":
        logger.warning("the optimization ended early: %s", result.report.reason)
    optimized = Optimized(program, result.report, result.trials, place)
    tell(optimized)
    return optimized


def search(
    job: Job,
    workspace: Path,
    expected: Forecast,
    role: RoleParams | None = None,
) -> OptimizationResult:
    """The optimizer's run with its progress shown and the best so far on the disk.

    Args:
        job: What is optimized, on what, by what.
        workspace: Keeps the journal, what the run is made of, and
            `best_program_so_far.json`.
        expected: The forecast of this job.
        role: That the job is of; None: no project's.
    """
    arguments = role.program_args if role else None

    def save_best(program: dspy.Module, _trial: Trial) -> None:
        path = workspace / "best_program_so_far.json"
        save_program(program, path, dill="off", verify="inline", arguments=arguments)

    with show_progress() as progress:

        def note(event: Event) -> None:
            if isinstance(event, Started):  # it is no other run's workspace
                write_inputs(RunInputs.of(job, role), workspace)
            progress(event)

        return run_optimizer(
            job,
            workspace=workspace,
            save_best=save_best,
            progress=note,
            forecast=expected,
        )


@dataclass(frozen=True)
class Verdict:
    """The result of an evaluation: both programs on the testset, and a decision.

    Attributes:
        decision: promote, keep_baseline, keep_champion, below_target or inconclusive.
        uplift: Mean of optimized - baseline over the testset, in [-1, 1], with its n
            and interval.
        reasons: Why, one sentence each, the deciding ones first.
        report: Means, intervals and components of both programs, in [0, 1].
        folder: Where report, predictions and page are stored.
    """

    decision: str
    uplift: Estimate
    reasons: list[str]
    report: ScoreReport
    folder: Path
    _page: Callable[[], str] = field(repr=False)

    @cached_property
    def report_html(self) -> Path:
        """The whole result as one self-contained page, written when it is asked for.

        Raises:
            PoOptimizerError: The extra `report` is not installed.
        """
        path = self.folder / "report.html"
        write_whole(path, self._page())
        return path


@_names_of_arguments()
def evaluate(
    baseline: dspy.Module,
    program: dspy.Module,
    *,
    champion: dspy.Module | None = None,
    testset: Rows,
    metric: Metric,
    lm: LM,
    folder: str | Path,
    num_threads: int | None = None,
    repeats: int = 1,
    **settings: Any,
) -> Verdict:
    """Compare two programs on the testset, pair by pair, and decide.

    Answers are kept in the folder: the same call again costs nothing, and after a crash
    only the calls that were cut off.

    Args:
        baseline: What the program must be better than.
        program: The optimized program.
        champion: The program that runs today, if it is another one: it must be beaten,
            unless the baseline is better on this testset.
        testset: Examples that are neither in the trainset nor in the valset.
        metric: As in `optimize`.
        lm: Runs both programs.
        folder: The optimization's, or another one.
        num_threads: LM calls at a time; None: what the server can, else 8.
        repeats: Answers to each example; their mean is its score.
        settings: For the decision: target_rubric, confidence, num_resamples, seed,
            num_compared, override, as in parameters_evaluate.yml.

    Raises:
        SettingError: An argument cannot work, a row is no example of the program, or
            the optimization of the folder saw one of them.
        PoOptimizerError: The LM stayed unreachable, the metric gave no score, and the
            like.
    """
    show_log()
    _check_count("repeats", repeats)
    promotion = _checked(PromotionParams, settings, "")
    programs = {
        "baseline": check_program("baseline", baseline),
        "optimized": check_program("program", program),
    }
    stood = None if champion is None else check_program("champion", champion)
    if stood and prompt_hashes(stood) != prompt_hashes(programs["optimized"]):
        programs["champion"] = stood
    place, scored = _folder(folder), check_metric(metric)
    examples = examples_of(testset, programs["baseline"], "testset")
    check_unseen(examples, place)
    task_lm = _lm("lm", lm, place, num_threads)
    predict = partial(
        _predict,
        examples=examples,
        metric=scored,
        lm=task_lm,
        folder=place,
        repeats=repeats,
    )
    with orderly_interrupt(stop_lms_in_use):
        records = {which: predict(p, which) for which, p in programs.items()}
    report, decision = judge_programs(
        records["baseline"],
        records["optimized"],
        examples=examples,
        metric=scored,
        program=programs["optimized"],
        champion=records.get("champion"),
        champion_program=stood,
        origin=_origin(examples, scored, programs["optimized"]),
        usage=RunUsage.of(task_lm),
        trials=_trials(place),
        promotion=promotion,
        judged=place / "judged.jsonl",
    )
    _write(place / "score_report.json", report)
    _write(place / "promotion.json", decision)
    page = partial(
        _page,
        report,
        decision,
        records=records,
        programs=programs,
        lm=task_lm,
        folder=place,
    )
    verdict = Verdict(
        decision.decision,
        report.uplift.score,
        decision.reasons,
        report,
        place,
        page,
    )
    tell(verdict)
    return verdict


def _predict(
    program: dspy.Module,
    which: Any,
    *,
    examples: list[dspy.Example],
    metric: Metric,
    lm: MeteredLM,
    folder: Path,
    repeats: int,
) -> list[PredictionRecord]:
    answers = predict_all(
        program,
        examples,
        metric,
        lm,
        stage=f"evaluate {which}",
        n=len(examples),
        which=which,
        repeats=repeats,
    )
    records = list(watch(answers, f"evaluate {which}", len(examples)))
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    write_whole(folder / f"{which}_predictions.jsonl", lines)
    return records


def _page(
    report: ScoreReport,
    decision: Promotion,
    *,
    records: Mapping[str, list[PredictionRecord]],
    programs: Mapping[str, dspy.Module],
    lm: MeteredLM,
    folder: Path,
) -> str:
    with needs_extra("report", "the page of a report"):
        from po_optimizer.reporting.page import render_report  # noqa: PLC0415
        from po_optimizer.reporting.prompt_diff import prompt_changes, prompt_diff_html  # noqa: PLC0415
    checks = folder / "preflight_report.json"
    both = (records["baseline"], records["optimized"])
    trials, stages = _trials(folder), RunUsage.of(lm).stages
    return render_report(
        report,
        decision,
        *both,
        title=f"{report.origin.program if report.origin else ''} on {lm.slug}",
        trials=trials,
        stages=stages,
        prompt_diff=prompt_diff_html(
            prompt_changes(programs["baseline"], programs["optimized"])
        ),
        preflight=json.loads(checks.read_text("utf-8"))["checks"]
        if checks.exists()
        else [],
        settings=get_provenance(programs["optimized"]),
    )


def _trials(folder: Path) -> list[dict[str, Any]]:
    journal = read_journal(folder / "trials.jsonl")
    return [trial.model_dump(mode="json") for trial in journal]


def show_log() -> None:
    """Shows our log lines on stderr, unless logging is configured."""
    ours = logging.getLogger("po_optimizer")
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        # or each line would stand twice, once a library gives root a handler
        ours.propagate = False


_OPTIMIZE_KEYS = set(OptimizeParams.model_fields)


def _params(optimizer: str, settings: dict[str, Any]) -> OptimizeParams:
    """The settings of the optimizer go into its group, the others stay beside it."""
    beside = {k: v for k, v in settings.items() if k in _OPTIMIZE_KEYS}
    own = {k: v for k, v in settings.items() if k not in _OPTIMIZE_KEYS}
    if own.get("auto"):
        own = {**_EXCLUDED_BY_AUTO.get(optimizer, {}), **own}
    group = {optimizer: own} if optimizer in _OPTIMIZE_KEYS else {}
    return _checked(
        OptimizeParams, {"optimizer": optimizer, **beside, **group}, optimizer
    )


_EXCLUDED_BY_AUTO = {
    "miprov2": {"num_candidates": None, "num_trials": None},
    "gepa": {"max_full_evals": None},
}


def _checked(model: type[P], values: Mapping[str, Any], group: str) -> P:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = field_problems(error)[0].removeprefix(f"{group}.")
        name, _, reason = problem.partition(": ")
        value = _at(values, error.errors()[0]["loc"])
        raise SettingError(name, value, reason, "Correct it.") from error


def _at(values: Any, path: Sequence[Any]) -> Any:
    for step in path:
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def _folder(folder: Any) -> Path:
    if not isinstance(folder, str | Path) or not str(folder):
        problem = "it is no path"
        raise SettingError(
            "folder", folder, problem, 'Name one, as in folder="runs/a".'
        )
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise SettingError("folder", str(path), "it is a file", "Name a folder.")
    return path


def _check_count(name: str, count: int | None) -> None:
    if count is not None and (not isinstance(count, int) or count < 1):
        raise SettingError(
            name, count, "it is no whole number from 1 on", "Correct it."
        )


def _lm(name: str, lm: LM, folder: Path, num_threads: int | None) -> MeteredLM:
    _check_count("num_threads", num_threads)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H.%M.%S.%fZ")
    adapter = dspy.settings.adapter
    return lm_of(
        lm,
        folder / "lms",
        run_id=now,
        name=name,
        adapter=adapter,
        num_threads=num_threads,
    )


def _check_same_run(job: Job, folder: Path) -> None:
    """Refuses a folder that holds another optimization, finished or not."""
    changed = changes_since(folder / "trials.jsonl", run_fingerprint(job))
    if changed and job.params.on_change == "stop":
        raise SettingError(
            "folder",
            str(folder),
            f"it holds another optimization (different: {listed(changed)})",
            'Name another folder, or on_change="restart" to begin anew in this one '
            "(LM answers are kept).",
        )


def _origin(
    examples: list[dspy.Example], metric: Metric, program: dspy.Module
) -> Origin:
    rows = [json_ready(example.toDict()) for example in examples]
    return Origin(
        testset=records_hash(rows),
        metric=name_of(metric),
        program=type(program).__qualname__,
    )


def _write(path: Path, result: BaseModel) -> None:
    write_whole(path, result.model_dump_json(indent=1))
