"""Runs the gate and comments its verdict; the standard library is enough.

Everything comes by environment variables, as `action.yml` sets them. Without a pull
request or a token the comment is printed. The exit code is that of `kedro run`.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

_MARK = "<!-- po_optimizer gate: {params} -->"
_REPORTING = Path("data/08_reporting")
_SECONDS = 30  # of a request to GitHub


def run_gate(python: str, environment: str, params: str) -> int:
    """Evaluates; the exit code, 4 if a bound was missed."""
    command = [python, "-m", "kedro", "run", "--pipeline=evaluate"]
    options = [f"--env={environment}", f"--params={params}"]
    return subprocess.run([*command, *options], check=False).returncode  # noqa: S603


def newest_report(since: float) -> Path | None:
    """The folder of the report that the run wrote; None: it wrote none."""
    reports = [
        path
        for path in _REPORTING.glob("*/*/**/score_report.json")
        if "runs" not in path.parts and path.stat().st_mtime >= since
    ]
    newest = max(reports, key=lambda path: path.stat().st_mtime, default=None)
    return newest.parent if newest else None


def describe(code: int, folder: Path | None) -> str:
    """The verdict in Markdown."""
    passed = "passed" if code == 0 else f"**failed** (exit code {code})"
    lines = [f"### po_optimizer gate: {passed}", ""]
    if folder is None:
        return "\n".join([*lines, "No score report was written: see the job's log."])
    report = json.loads((folder / "score_report.json").read_bytes())
    decision = json.loads((folder / "promotion.json").read_bytes())
    lines += [
        "| on the testset | mean | interval | n | failed |",
        "|---|---|---|---|---|",
    ]
    for name in ("baseline", "optimized"):
        program = report[name]
        lines.append(f"| {name} {_cells(program['score'])} {program['n_failed']} |")
    lines.append(f"| uplift {_cells(report['uplift']['score'])} |")
    reasons = [f"- {reason}" for reason in decision["reasons"]]
    return "\n".join([*lines, "", f"Decision: **{decision['decision']}**", *reasons])


def _cells(estimate: dict[str, Any]) -> str:
    interval = estimate["interval"]
    span = f"{interval['low']:.3f} to {interval['high']:.3f}" if interval else "-"
    mean = "-" if estimate["mean"] is None else f"{estimate['mean']:.3f}"
    return f"| {mean} | {span} | {estimate['n']} |"


def comment(text: str, mark: str, number: str, token: str) -> None:
    """Writes the comment, or replaces the one that an earlier run wrote."""
    base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    issues = f"{base}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    body = {"body": f"{mark}\n{text}"}
    earlier = _ask("GET", f"{issues}/{number}/comments?per_page=100", token)
    own = next((c["id"] for c in earlier if c["body"].startswith(mark)), None)
    if own is None:
        _ask("POST", f"{issues}/{number}/comments", token, body)
    else:
        _ask("PATCH", f"{issues}/comments/{own}", token, body)


def _ask(method: str, url: str, token: str, body: Any = None) -> Any:
    request = urllib.request.Request(  # noqa: S310 -- GitHub's own address
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        return json.loads(answer.read())


def main() -> int:
    """The gate, its comment, its exit code."""
    get = os.environ.get
    params = get("GATE_PARAMS", "")
    begun = time.time()
    code = run_gate(get("GATE_PYTHON", sys.executable), get("GATE_ENV", "base"), params)
    text = describe(code, newest_report(begun))
    number, token = get("GATE_PULL_REQUEST"), get("GATE_TOKEN")
    if number and token:
        comment(text, _MARK.format(params=params), number, token)
    else:
        sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
