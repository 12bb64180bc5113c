"""What a provider needs becomes checks of the preflight's report."""

from po_optimizer.lms import make_lm
from po_optimizer.optimization.preflight.provider import provider_checks
from po_optimizer.params import LMParams
from tests.servers.wire import serving


def test_findings_become_checks_with_setting_and_remedy(tmp_path):
    """Good and bad ones stand in the report, named by LM."""
    with serving(str) as server:
        params = LMParams(provider="ollama", model="x", api_base=server.address)
        checks = provider_checks(make_lm(params, tmp_path, run_id="r"))
    passed = {check.name: check.passed for check in checks}
    assert passed == {
        "ollama_context (ollama-x)": True,
        "ollama_answers (ollama-x)": True,
        "ollama_model_pulled (ollama-x)": False,
    }
    assert checks[-1].setting == "lm.model"
    assert "ollama pull x" in checks[-1].message
    assert checks[0].message == ""
