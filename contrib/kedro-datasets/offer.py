"""Puts the contribution into a checkout: python offer.py path/to/kedro-plugins."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
EXPERIMENTAL = "kedro_datasets_experimental"
PAGE = f"api/{EXPERIMENTAL}/dspy.DSPyProgramDataset.md"
WHAT = "``DSPyProgramDataset`` stores DSPy programs whole, as one JSON document"
PACKAGE = "po-optimizer>=0.1; python_version < '3.14'"  # by its LiteLLM
NAME = "dspy.DSPyProgramDataset"

# file, the line before which (+) or after which (-) lines are put, these lines
LINES = [
    (
        "pyproject.toml",
        '+faiss-dataset = ["faiss-cpu"]',
        f'dspy-dspyprogramdataset = ["{PACKAGE}"]\n'
        'dspy = ["kedro-datasets[dspy-dspyprogramdataset]"]',
    ),
    ("pyproject.toml", "-experimental = [", f'    "{PACKAGE}",'),
    ("pyproject.toml", "-experimental_test = [", f'    "{PACKAGE}",'),
    (
        "mkdocs.yml",
        f"+          - api/{EXPERIMENTAL}/faiss.FAISSVectorStoreDataset.md: "
        "FAISS vector database integration",
        f"          - {PAGE}: DSPy programs",
    ),
    (
        "mkdocs.yml",
        "+        - FAISS:",
        f"        - DSPy:\n          - {NAME}: {PAGE}",
    ),
    (
        f"docs/api/{EXPERIMENTAL}/index.md",
        "+[faiss.FAISSVectorStoreDataset]",
        f"[{NAME}]({NAME}.md) | {WHAT}.",
    ),
    (
        "RELEASE.md",
        "-## Major features and improvements",
        "- Added the following new **experimental** datasets:\n\n"
        "| Type                     | Description | Location |\n"
        "| ------------------------ | ----------- | -------- |\n"
        f"| `{NAME}` | {WHAT}. | `{EXPERIMENTAL}.dspy` |\n",
    ),
]


def main(checkout: Path) -> None:
    """Copies the new files, and registers them where the others are."""
    plugin = checkout / "kedro-datasets"
    for folder in ("dspy", "tests/dspy"):
        source = HERE / EXPERIMENTAL / folder
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, plugin / EXPERIMENTAL / folder, ignore=leave)
    shutil.copy(HERE / "docs" / PAGE, plugin / "docs" / PAGE)
    for file, anchor, lines in LINES:
        path = plugin / file
        text = path.read_text("utf-8").split("\n")
        places = (i for i, line in enumerate(text) if line.startswith(anchor[1:]))
        at = next(places, None)
        if at is None:
            sys.exit(f"{path}: no line begins with {anchor[1:]!r}. Correct LINES here.")
        text.insert(at if anchor[0] == "+" else at + 1, lines)
        path.write_text("\n".join(text), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
