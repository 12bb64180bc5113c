"""What the LM's provider needs, as checks: server, model, key, project, package."""

from po_optimizer.lms import MeteredLM
from po_optimizer.lms.check import Check
from po_optimizer.lms.providers import look_at_provider


def provider_checks(lm: MeteredLM) -> list[Check]:
    """One check per finding; no token is asked for.

    An LM that somebody made is its maker's to set up: the probe asks it.
    """
    if not lm.meters_itself:
        return []
    findings = look_at_provider(lm.params, lm.meter.secret)
    return [
        Check(
            name=f"{finding.name} ({lm.slug})",
            setting=finding.setting,
            value=finding.value,
            allowed=finding.needs,
            passed=not finding.problem,
            message=f"Found: {finding.problem}. {finding.remedy}"
            * bool(finding.problem),
        )
        for finding in findings
    ]
