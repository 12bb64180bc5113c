"""A name that nothing reads is refused, whatever a project adds to ours."""

from types import SimpleNamespace

import pytest
from kedro.config import OmegaConfigLoader

from po_optimizer.errors import UnknownParameterError
from po_optimizer.given_parameters import check_given


@pytest.fixture
def conf(tmp_path):
    """A configuration with a parameter and a path that a parameter may replace."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "parameters_mine.yml").write_text("mine: {depth: 1}\n")
    path = "filepath: ${runtime_params:elsewhere, a.json}"
    (tmp_path / "base" / "catalog.yml").write_text(f"entry: {{{path}}}\n")
    return tmp_path


def loader(conf, given):
    """What Kedro makes of `--params`."""
    return OmegaConfigLoader(str(conf), runtime_params=given)


@pytest.mark.parametrize("given", [None, {"mine": {"depth": 2}}, {"elsewhere": "b"}])
def test_names_of_the_files_are_known(conf, given):
    """A file of parameters or the catalog reads them."""
    check_given(loader(conf, given))


def test_other_names_are_refused_without_their_value(conf):
    """The one that was meant is told; a key given by mistake is not repeated."""
    with pytest.raises(UnknownParameterError, match="did you mean mine") as error:
        check_given(loader(conf, {"mind": "canary"}))
    assert "canary" not in str(error.value)


def test_packed_configuration_is_not_looked_into(tmp_path):
    """Of an archive no name is known, so none is refused."""
    archive = tmp_path / "conf.tar.gz"
    archive.touch()
    check_given(SimpleNamespace(conf_source=str(archive), runtime_params={"x": 1}))
