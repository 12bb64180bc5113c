"""One optimization: the optimizers' knobs, the budget, the preflight."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from po_optimizer.params.base import Count, Fraction, Params


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
