"""Makes a `kedro viz build` fit to be published: no local path, no error message.

kedro-viz has no option for it: it writes absolute paths of datasets and code, and the
tracebacks of a failed run, into the pages' JSON.
"""

import json
import sys
from pathlib import Path

import po_optimizer

RUN_STATUS = Path("api", "run-status")


def scrub(build: Path, project: Path) -> int:
    """Replaces absolute paths in a build by paths within the project.

    Args:
        build: The folder that `kedro viz build` made.
        project: The project's folder.

    Returns:
        Number of files that were changed.
    """
    status = build / RUN_STATUS
    if status.is_file():
        status.write_text(json.dumps(_without_errors(json.loads(status.read_text()))))
    files = [path for path in (build / "api").rglob("*") if path.is_file()]
    return sum(_replace(path, _prefixes(project)) for path in files)


def _prefixes(project: Path) -> dict[str, str]:
    """What to put in the place of each absolute path, longest path first."""
    code = Path(po_optimizer.__file__).parents[1]
    places = {
        **dict.fromkeys((f"{code}/", f"{code.resolve()}/"), "src/"),
        **dict.fromkeys((f"{project.absolute()}/", f"{project.resolve()}/"), ""),
        f'"{project.resolve().name}/src/': '"src/',
        f"{Path(sys.prefix)}/": "",
        f"{Path.home()}/": "~/",
    }
    return dict(sorted(places.items(), key=lambda pair: -len(pair[0])))


def _replace(path: Path, prefixes: dict[str, str]) -> bool:
    before = path.read_text(encoding="utf-8")
    after = before
    for absolute, relative in prefixes.items():
        after = after.replace(absolute, relative)
    path.write_text(after, encoding="utf-8")
    return after != before


def _without_errors(status: dict[str, object]) -> dict[str, object]:
    """The run status with every `error` null, at any depth."""
    return {
        key: None
        if key == "error"
        else _without_errors(value)
        if isinstance(value, dict)
        else value
        for key, value in status.items()
    }


if __name__ == "__main__":
    scrub(Path("build"), Path.cwd())
