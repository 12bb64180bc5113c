"""Vertex AI: package, credentials, project and price, before anything is paid."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from po_optimizer.lms.providers.finding import Finding
from po_optimizer.params import LMParams

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def extra_arguments(params: LMParams) -> dict[str, Any]:
    """Project and location, as LiteLLM names them, and the caller's own."""
    place = params.vertex
    found: dict[str, Any] = {"vertex_location": place.location, **params.extra}
    if place.project is not None:
        found.setdefault("vertex_project", place.project)
    return found


def look(params: LMParams, api_key: str | None) -> list[Finding]:
    """Package, credentials, project, in this order; the first that lacks ends it."""
    findings = []
    for finding in _looks(params):
        findings.append(finding)
        if finding.problem:
            break
    return findings


def _looks(params: LMParams) -> Iterator[Finding]:
    yield _package()
    credentials, own_project = _credentials()
    yield credentials
    yield _project(params, own_project)


def _package() -> Finding:
    if _installed("google.auth") and _installed("requests"):
        return Finding("google_auth_installed", "lm.provider", "vertex")
    problem = "Vertex AI needs the package google-auth, which is not installed"
    remedy = "Install it: pip install 'po-optimizer[vertex]'"
    return Finding("google_auth_installed", "lm.provider", "vertex", problem, remedy)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def _credentials() -> tuple[Finding, str | None]:
    import google.auth  # noqa: PLC0415 -- an optional extra
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    where = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    setting = "GOOGLE_APPLICATION_CREDENTIALS"
    try:
        _, project = google.auth.default(scopes=[_SCOPE])
    except (GoogleAuthError, OSError, ValueError) as error:
        # the error of a malformed file may repeat what stands in it
        problem = f"no usable application-default credentials ({type(error).__name__})"
        remedy = "Log in: gcloud auth application-default login; or name a key file."
        return Finding("vertex_credentials", setting, where, problem, remedy), None
    return Finding("vertex_credentials", setting, where), project


def _project(params: LMParams, own: str | None) -> Finding:
    project = params.extra.get("vertex_project") or params.vertex.project or own
    if project:
        return Finding("vertex_project", "lm.vertex.project", str(project))
    problem = "nothing says which Google Cloud project pays"
    remedy = "Set GCP_PROJECT=<project id> in the environment."
    return Finding("vertex_project", "lm.vertex.project", None, problem, remedy)


def cost(model: str, prompt: int, completion: int) -> float | None:
    """US dollars by LiteLLM's price table as installed; None: not in it."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
    import litellm  # noqa: PLC0415 -- takes seconds

    name = f"vertex_ai/{model}"
    known = next((n for n in (name, model) if n in litellm.model_cost), None)
    if known is None:
        return None
    dollars = litellm.cost_per_token(
        model=model,
        custom_llm_provider="vertex_ai",
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
    return float(sum(dollars))
