"""Commands that work when they are pasted: about the same LM, role and data."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_COMMAND = re.compile(
    r"(?<![\w.-])kedro run\b((?: --[a-z-]+[= ][^\s,;:()`]*[^\s,;:()`.])*)"
)


class Invocation:
    """How a run was started.

    Args:
        env: Of `--env`; None: not given.
        params: Of `--params`, nested.
    """

    def __init__(self, env: str | None, params: Mapping[str, Any] | None) -> None:
        self._env = env
        self._params = dict(_dotted(params or {}))

    def command(self, *options: str, **params: Any) -> str:
        """`kedro run` with the same environment and parameters.

        Args:
            options: More options.
            params: More parameters, `__` for a dot; they win.
        """
        more = {name.replace("__", "."): value for name, value in params.items()}
        pairs = {**self._params, **more}
        words = [program("kedro"), "run", *options]
        words += [f"--env={self._env}"] if self._env else []
        text = ",".join(f"{name}={_text(value)}" for name, value in pairs.items())
        return shlex.join([*words, "--params", text] if text else words)

    def complete(self, sentence: str) -> str:
        """The sentence with this run's options in every `kedro run` that it names."""
        return _COMMAND.sub(self._completed, sentence)

    def _completed(self, match: re.Match[str]) -> str:
        options = shlex.split(match[1])
        if any(option.startswith("--env") for option in options):
            return match[0]
        params = {}
        if "--params" in options:
            start = options.index("--params")
            params = dict(pair.split("=", 1) for pair in options[start + 1].split(","))
            del options[start : start + 2]
        return self.command(*options, **params)


def program(name: str) -> str:
    """The command's name if a shell finds it, else its path."""
    beside = Path(sys.executable).with_name(f"{name}.exe" if os.name == "nt" else name)
    there = shutil.which(name)
    if not beside.is_file() or (there and Path(there).samefile(beside)):
        return name
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def _dotted(params: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        path = f"{start}{name}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{path}.")
        else:
            yield ("role" if path == "role.name" else path), value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
