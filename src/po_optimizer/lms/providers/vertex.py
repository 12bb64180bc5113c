"""Vertex AI: package, credentials and project, before anything is paid."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from po_optimizer.lms.check import Check, check
from po_optimizer.lms.providers.litellm import LiteLLM

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Vertex(LiteLLM):
    """Google's cloud; it uses credentials instead of a key."""

    prefix = "vertex_ai"
    sends_key = False
    billed_as = "vertex_ai"

    def request_arguments(self) -> dict[str, Any]:
        """Project and location, as LiteLLM names them, and the caller's own."""
        place = self.params.vertex
        arguments: dict[str, Any] = {"vertex_location": place.location}
        arguments.update(self.params.extra)
        if place.project is not None:
            arguments.setdefault("vertex_project", place.project)
        return arguments

    def check_provider(self) -> list[Check]:
        """Package, credentials, project; the first that is missing ends the list."""
        checks = []
        for finding in self._checks():
            checks.append(finding)
            if not finding.passed:
                break
        return checks

    def _checks(self) -> Iterator[Check]:
        yield _package()
        credentials, own_project = _credentials()
        yield credentials
        params = self.params
        configured = params.extra.get("vertex_project") or params.vertex.project
        project = configured or own_project
        yield check(
            "vertex_project",
            "lm.vertex.project",
            str(project) if project else None,
            "a Google Cloud project",
            problem="" if project else "nothing says which project pays",
            remedy="Set GCP_PROJECT=<project id> in the environment.",
        )


def _package() -> Check:
    installed = is_installed("google.auth") and is_installed("requests")
    return check(
        "google_auth_installed",
        "lm.provider",
        "vertex",
        "the package google-auth",
        problem="" if installed else "it is not installed",
        remedy="Install it: pip install 'po-optimizer[vertex]'",
    )


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def _credentials() -> tuple[Check, str | None]:
    """The check of the credentials, and the project that they name."""
    import google.auth  # noqa: PLC0415 -- an optional extra
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    project, problem = None, ""
    try:
        _, project = google.auth.default(scopes=[_SCOPE])
    except (GoogleAuthError, OSError, ValueError) as error:
        # the error of a malformed file may repeat what stands in it
        problem = f"there are none that can be used ({type(error).__name__})"
    finding = check(
        "vertex_credentials",
        "GOOGLE_APPLICATION_CREDENTIALS",
        os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"),
        "application-default credentials",
        problem=problem,
        remedy="Log in: gcloud auth application-default login; or name a key file.",
    )
    return finding, project
