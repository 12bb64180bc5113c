"""Makes the score report and the decision from the records of two programs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.evaluation.estimates import Origin
from po_optimizer.evaluation.paired_scores import score_pairs
from po_optimizer.evaluation.predict import score_references
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.evaluation.promotion import Promotion, decide
from po_optimizer.evaluation.score_report import RunUsage, ScoreReport, Selection
from po_optimizer.evaluation.wear import JudgedPrograms
from po_optimizer.params.evaluate import PromotionParams
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.records.canonical import digest
from po_optimizer.roles.metric import Metric, output_types


def judge_programs(
    baseline: Iterable[PredictionRecord],
    optimized: Iterable[PredictionRecord],
    *,
    examples: Iterable[dspy.Example],
    metric: Metric,
    program: dspy.Module,
    champion: Iterable[PredictionRecord] | None = None,
    champion_program: dspy.Module | None = None,
    origin: Origin,
    usage: RunUsage,
    trials: Sequence[Mapping[str, Any]],
    promotion: PromotionParams,
    judged: Path,
) -> tuple[ScoreReport, Promotion]:
    """The score report and the decision; the program is entered in `judged`.

    Args:
        baseline: The baseline's records; read twice.
        optimized: The program's records of the same examples; read twice.
        examples: The testset; its reference outputs give the ceiling.
        metric: As the records were scored.
        program: What is judged.
        champion: The promoted program's records of the same examples; None: none is
            promoted, or it is this one.
        champion_program: The promoted program.
        origin: What it is measured with.
        usage: What this run's answers took.
        trials: How the program was chosen; empty: not known.
        promotion: What it must show.
        judged: The file of all programs that this testset judged.
    """
    outputs = next((list(r.outputs) for r in baseline if r.outputs), [])
    fingerprint = prompt_hashes(program)
    # `score_pairs` checks that they are pairs
    pairs = [(a.score, b.score) for a, b in zip(baseline, optimized, strict=False)]
    # equal scores promote nothing, nor do missing ones: they give luck no chance
    can_win = any(a != b for a, b in pairs) and None not in chain(*pairs)
    judgement = JudgedPrograms(judged).judge(
        origin.testset,
        fingerprint,
        usage.lm,
        promotion,
        scores=digest(pairs),
        run=promotion.compared_in or usage.run,
        spends=can_win,
    )
    stages = usage.stages
    report = score_pairs(
        baseline,
        optimized,
        promotion,
        champion=champion,
        reference=score_references(examples, metric, outputs, output_types(program)),
        selection=_selection(trials) if trials else None,
        usage={
            which: stages[f"evaluate {which}"]
            for which in ("baseline", "optimized", "champion")
            if f"evaluate {which}" in stages
        },
        judgement=judgement,
    )
    own = champion_program and prompt_hashes(champion_program) == fingerprint
    report = report.model_copy(update={"origin": origin, "is_champion": bool(own)})
    decision = decide(report, promotion)
    return report, decision.model_copy(update={"program": fingerprint})


def _selection(trials: Sequence[Mapping[str, Any]]) -> Selection:
    """How the optimizer chose; a candidate that it drew twice counts once."""
    parts = [trial for trial in trials if trial["kind"] in ("minibatch", "raced")]
    whole = [trial for trial in trials if trial not in parts]

    def different(trials: Sequence[Mapping[str, Any]]) -> int:
        return len({f"{t['instruction']} {t['demo_set']}" for t in trials})

    return Selection(
        n_candidates=different(whole),
        n_valset=whole[0]["n"],
        baseline_score=whole[0]["score"],
        best_score=max(trial["score"] for trial in whole),
        n_tried=different(parts),
        n_minibatch=parts[0]["n"] if parts else 0,
    )
