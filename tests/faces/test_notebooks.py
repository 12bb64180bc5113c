import os

import nbformat
import pytest
from nbclient import NotebookClient

from tests.faces.project import ENVIRONMENT, ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, finished, monkeypatch):
    """Every cell runs on a finished project, and shows no log line and no path."""
    monkeypatch.setenv("KEDRO_ENV", ENVIRONMENT)
    monkeypatch.setenv("PO_LM_MODEL", "scripted")
    monkeypatch.setenv("PO_LM_BASE_URL", "http://127.0.0.1:9/v1")
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
    """The stored notebook has no output and defines no function."""
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert not any("def " in cell.source for cell in code)
