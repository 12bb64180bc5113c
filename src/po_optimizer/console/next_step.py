"""Commands that work when they are pasted: about the same LM, role and data."""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click
import yaml
from omegaconf import OmegaConf

_CLOSED = {"'": "'", '"': '"', "[": "]", "{": "}"}
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
            params = dict(_dotted(params_of(options[start + 1])))
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
    """The value as `params_of` reads it: texts as they stand, if they stay the same."""
    if isinstance(value, str):
        try:
            if params_of(f"a={value}") == {"a": value}:
                return value
        except click.BadParameter:
            pass
    return json.dumps(value, ensure_ascii=False)


def params_of(text: str) -> dict[str, Any]:
    """`a.b=1,c=x` as a mapping; what has no `=` goes on with the value before it.

    Kedro splits at every comma, so that no file with one in its name could be given.

    Raises:
        click.BadParameter: A part is not of the form key=value, or a value no YAML.
    """
    pairs: list[str] = []
    for item in text.split(","):
        if pairs and ("=" not in item or _is_open(pairs[-1])) and item.strip():
            pairs[-1] += f",{item}"
        elif item.strip():
            pairs.append(item.strip())
    for pair in pairs:
        if not pair.partition("=")[0].strip() or "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not of the form key=value")
    # or role=NAME and role.metric_args.x=1 could not be given together
    pairs = [re.sub(r"^role\s*=", "role.name=", pair) for pair in pairs]
    try:
        values = OmegaConf.from_dotlist([_without_comment(pair) for pair in pairs])
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise click.BadParameter(
            f"{text!r} has a value that is no YAML ({problem}): put it in quotes, as "
            "in --params \"concept='a shop: for tools'\""
        ) from error
    return cast(dict[str, Any], OmegaConf.to_container(values))


def _is_open(pair: str) -> bool:
    """Whether its value begins with a quote or a bracket that is not closed yet."""
    value = pair.partition("=")[2].strip()
    return value[:1] in _CLOSED and value[1:][-1:] != _CLOSED[value[:1]]


def _without_comment(pair: str) -> str:
    """The pair with `#` as a letter: no text ends where YAML's comments begin."""
    name, _, value = pair.partition("=")
    is_comment = re.search(r"(^|\s)#", value) and value.strip()[:1] not in _CLOSED
    return f"{name}={json.dumps(value, ensure_ascii=False)}" if is_comment else pair
