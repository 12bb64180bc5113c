"""The commands that README, CONTRIBUTING and docs tell people to type."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faces.project import ROOT

START = ["docs/tutorial.md", "README.md", "CONTRIBUTING.md"]
ROLE = "docs/how-to/own-role.md"  # its records take the place of the Product Owner's
_DOCS = sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))
LM_GUIDES = ["docs/how-to/own-lm.md"]
GUIDES = [
    page
    for page in _DOCS
    if page.startswith("docs/how-to/") and page not in {*LM_GUIDES, ROLE}
] + [ROLE]
REFERENCE = [page for page in _DOCS if page not in {*START, *GUIDES, *LM_GUIDES}]
PAGES = [*START, *GUIDES, *LM_GUIDES, *REFERENCE]

EXEMPT = {
    "make install": "CI runs it",
    "make check": "CI runs it",
    "make docs": "CI runs it",
    "make test": "CI runs it",
    "make test-servers": "CI runs it",
    "make test-docs": "it types these",
    "make test-browser": "CI runs it",
    "make lock": "needs the package index and uv",
    "make test-integrations": "installs other tools",
    "kedro new": "tests/servers/test_starter.py does it",
    "pip install -e .": "tests/servers/test_starter.py does it",
    "kedro run --env=litellm": "needs a provider's key",
    'pip install "dspy[deno]"': "changes what the other tests find",
    "lint-imports": "`make check` runs it",
    "source .venv/bin/activate": "the tests' commands are found already",
    "make PYTHON=/path/to/python3 run": "there is no such place",
    "make test-exhaustive": "many rounds: it takes long by design",
    "pytest -m exhaustive": "many rounds: it takes long by design",
    "pytest tests/persistence tests/datasets": "`make test` runs it",
    "PYTHONPATH=src python benchmarks/persistence.py": "takes a minute, has no size",
    "python benchmarks/embedded_throughput.py": "minutes of the real embedded LM",
    "python -m benchmarks.mlflow_agreement": "MLflow is no dependency",
    "ollama serve": "a service of the user's machine",
    "ollama pull": "fetches a model of gigabytes",
    "gcloud auth": "asks a person to log in",
    "pip install pre-commit": "changes the environment that runs the tests",
    'pip install "po-optimizer[dask]"': "`make install` brings it",
    'pip install "po-optimizer[vertex]"': "`make install` brings it",
    "pip install 'po-optimizer[vertex]'": "`make install` brings it",
    "pip install po-optimizer": "the environment of the tests has it",
    "pip install 'po-optimizer[report]'": "`make install` brings it",
    "pip install 'po-optimizer[mlflow]'": "`make test-integrations` brings it",
    "pip install 'po-optimizer[watch]'": "`make install` brings it",
    "pip install 'po-optimizer[otel]'": "`make test-integrations` brings it",
    "pip install 'po-optimizer[hub]'": "`make install` brings it",
}
"""The first words of lines that no test types, and why."""

_PROGRAMS = "kedro|make|po-optimizer|pytest|python|pip|tar|dask|ollama|gcloud"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(rf"`((?:[A-Z_]+=\S+ )?(?:{_PROGRAMS}) [^`]+|lint-imports)`")


@dataclass(frozen=True)
class Command:
    """One line to type, after the `export` lines that stand before it in its block."""

    line: str
    exports: tuple[str, ...] = ()

    @property
    def is_exempt(self) -> bool:
        """Whether no test types it."""
        return any(f"{self.line} ".startswith(f"{begin} ") for begin in EXEMPT)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language, in their order."""
    found = _FENCE.findall((ROOT / page).read_text())
    return [text for name, text in found if name == language]


def commands(*pages: str) -> list[Command]:
    """What pages tell to type, each once: bash blocks, then what sentences hold."""
    found: list[Command] = []
    for page in pages:
        for text in blocks(page, "bash"):
            found += _lines(text)
        sentences = _FENCE.sub("", (ROOT / page).read_text())
        found += [Command(" ".join(one.split())) for one in _INLINE.findall(sentences)]
    return list(dict.fromkeys(found))


def typed(*pages: str, after: Sequence[str] = ()) -> list[Command]:
    """What tests type for pages, where they have typed for others before."""
    before = commands(*after)
    return [one for one in commands(*pages) if not one.is_exempt and one not in before]


def _lines(block: str) -> list[Command]:
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines()]
    exports = tuple(line for line in lines if line.startswith("export "))
    return [Command(line, exports) for line in lines if line and line not in exports]


FIRST_STEPS = typed(*START)
GUIDE_STEPS = typed(*GUIDES, after=START)
LM_STEPS = typed(*LM_GUIDES, after=[*START, *GUIDES])
REFERENCE_STEPS = typed(*REFERENCE, after=[*START, *GUIDES, *LM_GUIDES])
"""What each of four test modules types: two processes share them evenly."""
