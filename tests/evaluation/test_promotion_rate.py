from functools import partial

import pytest
from benchmarks.measurement import clustered
from benchmarks.promotion_power import (
    World,
    coarse,
    failing,
    lopsided,
    normal,
    rate,
)

from po_optimizer.params.project import SplitSizes
from tests.evaluation.scripted import QUICK

WORLDS = pytest.mark.parametrize("world", [normal, failing, coarse])


@WORLDS
def test_no_true_difference_is_hardly_ever_promoted(world: World) -> None:
    """In 200 rounds of selecting and judging equal programs at most 5 % promote."""
    assert rate(world, 20, 0.0, 200, QUICK)["rule"] <= 0.05


def test_choosing_and_judging_on_the_same_examples_promotes_chance() -> None:
    """The selection effect is real: the valset itself promotes it oftener."""
    found = rate(normal, 20, 0.0, 200, QUICK)
    assert found["on the valset"] >= 0.04 > found["rule"]


@pytest.mark.parametrize("lost", [1.0, 3.05])
@pytest.mark.parametrize("n", [6, 34])
def test_rare_losses_are_hardly_ever_promoted(n: int, lost: float) -> None:
    """A loss that easily escapes n examples promotes at most 5 %, unlike before."""
    found = rate(partial(lopsided, p_loss=lost / n), n, 0.0, 200, QUICK)
    assert found["rule"] <= 0.05
    assert lost > 1 or found["without losses"] > 0.15


def test_a_large_uplift_is_found() -> None:
    """A true uplift of 0.10 on 34 examples is promoted in over 80 % of rounds."""
    assert rate(normal, 34, 0.10, 100, QUICK)["rule"] > 0.80


def test_the_default_testset_can_succeed() -> None:
    """A true uplift of 0.3 is promoted in over 80 % of rounds of the default size."""
    n = SplitSizes().test
    assert rate(normal, n, 0.30, 100, QUICK)["rule"] > 0.80


def test_examples_of_a_group_are_not_taken_for_independent() -> None:
    """Of equal programs in groups of 5 (ICC 0.3) at most 5 % promote, 9 % before."""
    by_example, by_group, _, covered = clustered(12, 5, 200, QUICK)
    assert by_example > 0.05 >= by_group
    assert covered >= 0.85


@pytest.mark.exhaustive
@WORLDS
@pytest.mark.parametrize("n", [8, 20, 34, 60])
def test_no_true_difference_at_most_one_in_twenty(world: World, n: int) -> None:
    """In 2,000 rounds at most 5 % promote, at each size and kind of scores."""
    assert rate(world, n, 0.0, 2000, QUICK)["rule"] <= 0.05
