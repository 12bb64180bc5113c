import pytest
from benchmarks.promotion_power import World, coarse, failing, normal, rate

from tests.evaluation.made import QUICK

WORLDS = pytest.mark.parametrize("world", [normal, failing, coarse])


@WORLDS
def test_no_true_difference_is_hardly_ever_promoted(world: World) -> None:
    """In 200 rounds of selecting and judging equal programs at most 5 % promote."""
    assert rate(world, 20, 0.0, 200, QUICK)["rule"] <= 0.05


def test_choosing_and_judging_on_the_same_examples_promotes_chance() -> None:
    """The selection effect is real: on the valset itself over 10 % would promote."""
    found = rate(normal, 20, 0.0, 200, QUICK)
    assert found["on the valset"] > 0.10


def test_a_large_uplift_is_found() -> None:
    """A true uplift of 0.10 on 34 examples is promoted in over 80 % of rounds."""
    assert rate(normal, 34, 0.10, 100, QUICK)["rule"] > 0.80


@pytest.mark.exhaustive
@WORLDS
@pytest.mark.parametrize("n", [8, 20, 34, 60])
def test_no_true_difference_at_most_one_in_twenty(world: World, n: int) -> None:
    """In 2,000 rounds at most 5 % promote, at each size and kind of scores."""
    assert rate(world, n, 0.0, 2000, QUICK)["rule"] <= 0.05
