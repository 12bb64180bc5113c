"""Ordinary programs come back the same, or refuse and say why."""

from pathlib import Path

from tests.persistence.survival import needs_of_all, problems, survey


def test_every_ordinary_program_is_the_same_or_refuses(tmp_path: Path) -> None:
    """Asked the same in a fresh process, none makes other requests in silence."""
    table = survey(tmp_path)
    assert len(table) >= 200
    wrong = problems(table, needs_of_all())
    assert not wrong, "\n".join(wrong)


def test_demos_of_models_with_validators_are_saved(tmp_path: Path) -> None:
    """A demo that holds a model with a validator or a hook can be saved."""
    table = survey(tmp_path, only="demos: models with")
    assert {row["save"] for row in table.values()} == {"same"}
