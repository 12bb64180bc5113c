"""Ordinary programs come back the same, or refuse and say why."""

import pytest

from tests.persistence.survival import Table, needs_of_all, problems, survey


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """What became of each program."""
    return survey(tmp_path_factory.mktemp("survey"))


def test_every_ordinary_program_is_the_same_or_refuses(table: Table) -> None:
    """Asked the same in a fresh process, none makes other requests in silence."""
    assert len(table) >= 200
    wrong = problems(table, needs_of_all())
    assert not wrong, "\n".join(wrong)


def test_demos_of_models_with_validators_are_saved(table: Table) -> None:
    """A demo that holds a model with a validator or a hook can be saved."""
    rows = [row for name, row in table.items() if "demos: models with" in name]
    assert rows
    assert {row["save"] for row in rows} == {"same"}
