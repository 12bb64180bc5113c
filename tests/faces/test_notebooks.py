import os

import nbformat
import pytest
from nbclient import NotebookClient

from tests.faces.project import ENVIRONMENT, ROOT, answering

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OWN = "03_optimize_your_own"  # shows a person's own program, and asks an LM


def categories(prompt):
    """Right about orders, and with demos about all."""
    message = prompt.rpartition("[[ ## message ## ]]")[2].partition("Respond")[0]
    known = {"send": "order", "broken": "complaint", "large": "question"}
    right = next((kind for word, kind in known.items() if word in message), "")
    learned = right == "order" or prompt.count("[[ ## message ## ]]") > 2
    answers = {"category": right if learned else "other"}
    if "proposed_instruction" in prompt:
        answers = {"proposed_instruction": "Sort it."}
    fields = (f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in answers.items())
    return "".join(fields) + "[[ ## completed ## ]]"


@pytest.fixture(scope="module")
def lm_address():
    """A scripted LM on loopback."""
    with answering(categories) as url:
        yield url


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, finished, lm_address, monkeypatch):
    """Every cell runs on a finished project, and shows no log line and no path."""
    monkeypatch.setenv("KEDRO_ENV", ENVIRONMENT)
    monkeypatch.setenv("PO_LM_MODEL", "scripted")
    address = lm_address if path.stem == OWN else "http://127.0.0.1:9/v1"
    monkeypatch.setenv("PO_LM_BASE_URL", address)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(finished / "src")]))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(finished / "notebooks")}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert "execute_result" in {one.output_type for one in outputs}
    shown = [one.get("text") or one.data.get("text/plain", "") for one in outputs]
    for noise in ("INFO", "WARNING", str(finished)):
        assert not any(noise in text for text in shown), noise


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_clean(path):
    """It has no output, and defines no function but a person's own program."""
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert path.stem == OWN or not any("def " in cell.source for cell in code)
