import random

import pytest

from po_optimizer.product_owner.metric.prose import (
    copied_share,
    own_words,
    written_share,
)
from tests.product_owner.records import records


def narratives(language: str) -> list[list[str]]:
    """The longer texts of each reference in a language."""
    outputs = [r.output for r in records() if r.input.language == language]
    return [
        [one.product_owner_review.narrative, one.product_vision.product_summary]
        for one in outputs
    ]


@pytest.mark.parametrize("language", ["en", "es"])
def test_what_people_write_is_written(language: str) -> None:
    """Every reference is in sentences, in English and in Spanish."""
    assert {written_share(texts) for texts in narratives(language)} == {1.0}


@pytest.mark.parametrize("language", ["en", "es"])
def test_shuffled_words_are_not_written(language: str) -> None:
    """The same words in any order lose nearly all."""
    rng = random.Random(3)  # noqa: S311
    shuffled = [
        [" ".join(rng.sample(text.split(), len(text.split()))) for text in texts]
        for texts in narratives(language)
    ]
    assert sum(map(written_share, shuffled)) / len(shuffled) < 0.15


def test_keywords_are_not_written() -> None:
    """A heap of long words has no small ones between them."""
    assert (
        written_share(["quota vessel landing register settlement resolution " * 3]) == 0
    )


def test_a_few_words_say_nothing_about_writing() -> None:
    """Short texts are taken as they are."""
    assert written_share(["Vessel quota register", "the a"]) == 1.0


def test_copied_is_four_words_in_a_row() -> None:
    """Letter case and punctuation aside; three words in a row are no copy."""
    source = ["Neighbors offer garden tools with a photo"]
    assert copied_share(["neighbors, offer garden tools"], source) == 1.0
    assert copied_share(["Neighbors offer garden gnomes"], source) == 0.0
    assert copied_share([], source) == 0.0


@pytest.mark.parametrize(
    ("copied", "value"), [(0.0, 1.0), (0.15, 1.0), (0.225, 0.5), (0.3, 0.0), (1.0, 0.0)]
)
def test_what_copying_leaves(copied: float, value: float) -> None:
    """A quotation costs nothing, a third of the text everything."""
    assert own_words(copied) == pytest.approx(value)
