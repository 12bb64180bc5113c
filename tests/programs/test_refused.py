"""Programs that cannot work are refused before the optimization, with the cause."""

import pytest

from po_optimizer.errors import PreflightError
from tests.programs.case import run_whole
from tests.programs.cases import REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_cause_is_told_before_anything_but_the_probe_is_paid(
    name, server, tmp_path, monkeypatch
):
    """One sentence; of code that the program writes, too, where Deno is not."""
    monkeypatch.setenv("PATH", str(tmp_path))
    case, sentence = REFUSED[name]
    before = server.asked()
    with pytest.raises(PreflightError, match=sentence):
        run_whole(case, "miprov2", 1, server, tmp_path)
    probe = 3 + 1 + 1  # its runs, one without a JSON schema, the longest prompt
    assert server.asked() - before <= probe
