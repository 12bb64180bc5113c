"""The runs of each role and LM: what a run leaves, listed, compared, promoted."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError
from pydantic_core import from_json

from po_optimizer.errors import PoOptimizerError, SettingError, listed
from po_optimizer.evaluation.estimates import Estimate, Origin
from po_optimizer.files import write_whole
from po_optimizer.lms.usage import Usage
from po_optimizer.params.base import Result
from po_optimizer.persistence.format import CHAMPION

if TYPE_CHECKING:  # a list of runs is shown at once
    from po_optimizer.evaluation.promotion import Promotion
    from po_optimizer.evaluation.score_report import RunUsage, ScoreReport

RUNS, SUMMARY = "runs", "run.json"
BASELINE = "baseline"


class RunSummary(Result):
    """What `run.json` holds: a run in a line.

    Attributes:
        run: Its name, the time of its start (UTC).
        lm: Slug of the task LM.
        optimizer: None: not known.
        sizes: Examples of each split.
        decision: On the optimized program.
        reasons: The decision's.
        score: The optimized program's objective on the testset, in [0, 1].
        uplift: Over the baseline, in [-1, 1].
        over_champion: Over the program that was promoted before; None: none was.
        program: Its fingerprint.
        origin: Testset and metric.
        usage: Of the search, over all restarts, and of this evaluation.
    """

    run: str
    lm: str
    optimizer: str | None
    sizes: dict[str, int]
    decision: str
    reasons: list[str]
    score: Estimate
    uplift: Estimate
    over_champion: Estimate | None = None
    program: dict[str, str] | None
    origin: Origin | None
    usage: Usage

    @classmethod
    def of(
        cls,
        report: "ScoreReport",
        promotion: "Promotion",
        usage: "RunUsage",
        provenance: dict[str, Any],
        spent: Usage,
    ) -> "RunSummary":
        """The line of a run that was just judged.

        Args:
            report: Its score report.
            promotion: Its decision.
            usage: Of this run.
            provenance: The program's.
            spent: By the optimization that found the program.
        """
        judging = (u for name, u in usage.stages.items() if name.startswith("evaluate"))
        over = report.over_champion
        return cls(
            run=usage.run,
            lm=usage.lm,
            optimizer=provenance.get("optimizer"),
            sizes=provenance.get("splits", {}),
            decision=promotion.decision,
            reasons=promotion.reasons,
            score=report.optimized.score,
            uplift=report.uplift.score,
            over_champion=over.score if over else None,
            program=promotion.program,
            origin=report.origin,
            usage=sum(judging, spent),
        )


class Champion(Result):
    """What `champion.json` holds: the promoted program of an LM.

    Attributes:
        program: Its fingerprint, per predictor; None: none is promoted, and the
            baseline runs.
        run: The run that promoted it; "": not known.
        reason: Why, in a sentence.
    """

    format_version: Literal[1] = 1
    program: dict[str, str] | None = None
    run: str = ""
    reason: str = ""

    def after(self, promotion: "Promotion", run: str) -> "Champion":
        """The champion after this decision.

        A promoted program stays until another one is promoted, or a person decides
        against it (`promotion.override`).
        """
        own = promotion.program is not None and promotion.program == self.program
        reason = next(iter(promotion.reasons), "")
        if promotion.decision == "promote" and not own:
            return Champion(program=promotion.program, run=run, reason=reason)
        by_hand = promotion.override is not None
        if own and by_hand and promotion.decision == "keep_baseline":
            return Champion(run=run, reason=reason)
        return self


class KeptRun:
    """A run's folder, with what stands in it.

    Args:
        folder: `08_reporting/<role>/<lm>/runs/<run>`.
        summary: The run in a line.
    """

    def __init__(self, folder: Path, summary: RunSummary) -> None:
        self.folder = folder
        self.summary = summary

    @property
    def reporting(self) -> Path:
        """The folder of its role and LM."""
        return self.folder.parents[1]

    def champion(self) -> Champion:
        """Who is promoted for this run's role and LM."""
        path = self.reporting / CHAMPION
        if not path.is_file():
            return Champion()
        return Champion.model_validate_json(path.read_bytes())

    def is_champion(self) -> bool:
        """Whether this run's program is the promoted one."""
        program = self.summary.program
        return program is not None and program == self.champion().program


def list_runs(reporting: Path) -> list[KeptRun]:
    """All kept runs below a folder, the newest first.

    A folder without a readable summary is of a run that was killed: it is left out.
    """
    runs = []
    for path in reporting.rglob(f"{RUNS}/*/{SUMMARY}"):
        with suppress(ValidationError):
            summary = RunSummary.model_validate_json(path.read_bytes())
            runs.append(KeptRun(path.parent, summary))
    return sorted(runs, key=lambda kept: kept.folder.name, reverse=True)


def find_run(reporting: Path, name: str) -> KeptRun:
    """The run whose name is or begins so: its folder's, with or without what is above.

    Raises:
        SettingError: None is, or several are.
    """
    runs = {kept: _names(kept, reporting) for kept in list_runs(reporting)}
    matches = [k for k, names in runs.items() if any(n.startswith(name) for n in names)]
    matches = [kept for kept in matches if name in runs[kept]] or matches
    if len(matches) == 1:
        return matches[0]
    names = [str(kept.folder.relative_to(reporting)) for kept in matches or runs]
    problem = "several runs begin so" if matches else "no run begins so"
    remedy = f"Choose one of: {listed(names, 20) or 'none is kept yet'}."
    raise SettingError("run", name, problem, remedy)


def _names(kept: KeptRun, reporting: Path) -> set[str]:
    """What is shown of a run, and the paths that lead to it."""
    place, folder = kept.reporting.relative_to(reporting), kept.folder
    paths = (folder, folder.relative_to(reporting), place / folder.name)
    return {folder.name, f"{place} {folder.name}", *map(str, paths)}


def promote_run(kept: KeptRun, *, by: str | None = None) -> Champion:
    """Makes the run's program the promoted one, without asking an LM.

    Args:
        kept: It was promoted when it was judged, on the testset and by the metric of
            the last evaluation of its role and LM.
        by: Who decides against what was measured; None: nobody does.

    Raises:
        PoOptimizerError: It was not promoted, or judged on other examples.
    """
    summary = kept.summary
    last = from_json((kept.reporting / "score_report.json").read_bytes())["origin"]
    if by is None and summary.origin != (last and Origin.model_validate(last)):
        raise PoOptimizerError(
            f"the run {summary.run} was judged on another testset or by another metric "
            "than the last one, so its scores do not compare. Judge its program again: "
            "kedro run --from-nodes=evaluate.predict_programs_node "
            "--load-versions=optimized_program:<version>; or decide by hand: --by NAME."
        )
    if by is None and summary.decision != "promote":
        raise PoOptimizerError(
            f"the run {summary.run} was not promoted ({summary.decision}: "
            f"{next(iter(summary.reasons), '')}). To decide against that: --by NAME."
        )
    reason = f"run {summary.run}: {next(iter(summary.reasons), '')}"
    if by is not None:
        reason = f"by hand of {by}; the measurement said {summary.decision}"
    champion = Champion(program=summary.program, run=summary.run, reason=reason)
    _write_champion(kept.reporting, champion)
    return champion


def demote(kept: KeptRun, *, by: str) -> None:
    """Lets the baseline run again for the role and LM of this run."""
    _write_champion(kept.reporting, Champion(reason=f"by hand of {by}"))


def prune_runs(reporting: Path, keep: int) -> list[Path]:
    """Deletes the oldest runs of each role and LM, never the promoted one's.

    Args:
        reporting: The folder of reports.
        keep: Runs of each role and LM that stay, the newest ones.

    Returns:
        The folders that were deleted.
    """
    deleted, counts = [], dict[Path, int]()
    for kept in list_runs(reporting):
        counts[kept.reporting] = counts.get(kept.reporting, 0) + 1
        if counts[kept.reporting] > keep and not kept.is_champion():
            shutil.rmtree(kept.folder)
            deleted.append(kept.folder)
    return deleted


def _write_champion(reporting: Path, champion: Champion) -> None:
    write_whole(reporting / CHAMPION, champion.model_dump_json(indent=2))
