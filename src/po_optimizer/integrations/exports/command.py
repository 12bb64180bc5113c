"""`po-optimizer export`: the prompts of a stored program in another tool's form."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import click

from po_optimizer.errors import ArtifactError, PoOptimizerError
from po_optimizer.files import write_whole
from po_optimizer.integrations.exports.conformance import check_export
from po_optimizer.integrations.exports.program import StoredProgram, read_program
from po_optimizer.integrations.exports.targets import TARGETS
from po_optimizer.integrations.exports.template import (
    AdapterName,
    Template,
    make_template,
    text_of,
)
from po_optimizer.lms.visible import visible
from po_optimizer.records.reading import parse_file

_STATE = "dspy"
_INSPECT_TASK = """

@task(name={name!r})
def predictor_{function}(inputs: str = {inputs!r}):
    \"""The predictor {name}.\"""
    return make_task({name!r}, inputs)
"""


@click.command()
@click.argument("program", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", required=True, type=click.Choice([*TARGETS, _STATE]))
@click.option(
    "--adapter",
    type=click.Choice(get_args(AdapterName)),
    help="How DSPy asks; by default as when the program was optimized, else json.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder; export/TO.")
@click.option(
    "--inputs",
    type=click.Path(exists=True, path_type=Path),
    help="Table of inputs, for promptfoo's tests and Inspect's samples.",
)
def export(
    program: Path,
    target: str,
    adapter: AdapterName | None,
    output: Path | None,
    inputs: Path | None,
) -> None:
    """Write a stored program's prompts for use without DSPy, and prove them.

    Every export is compared with what DSPy sends for 20 inputs, byte for byte, before
    a file is written; what has no prompt is named.
    """
    folder = output or Path("export") / target
    for line in export_program(program, target, adapter, folder, inputs):
        click.echo(visible(line))


def export_program(
    path: Path,
    target: str,
    adapter: AdapterName | None,
    folder: Path,
    inputs: Path | None,
) -> Iterator[str]:
    """Writes the export; yields what there is to say about it, a line each.

    Raises:
        ArtifactError: The program cannot be read, or cannot be exported whole.
    """
    stored = read_program(path)
    if not stored.predictors:
        raise ArtifactError(f"{path} cannot be exported: it has no predictor.")
    if target == _STATE:
        yield from _export_state(stored, folder)
        return
    adapter = adapter or stored.adapter
    to, contents = TARGETS[target], dict[str, str]()
    templates = dict[str, Template]()
    for name, predictor in stored.predictors.items():
        template = templates[name] = make_template(name, predictor, adapter)
        content = contents[f"{name}.json"] = _json(to.write(name, template))
        n = check_export(name, predictor, adapter, to.read(json.loads(content)))
        yield f"{name}: {n} of {n} inputs render as DSPy's {adapter} adapter sends them"
    if inputs is not None or target in ("promptfoo", "inspect"):
        contents |= _with_rows(target, templates, _texts(stored, inputs))
    for name, content in contents.items():
        write_whole(folder / name, content)
        yield str(folder / name)
    for part in stored.left_out:
        yield f"not exported: {part}"
    for name, template in templates.items():
        if template.config and not to.has_settings:
            yield f"not exported: the settings of {name}: {template.config}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _with_rows(
    target: str,
    templates: Mapping[str, Template],
    rows: Mapping[str, list[dict[str, str]]],
) -> dict[str, str]:
    """What makes tests or samples of each predictor's rows, in the target's form."""
    if target == "promptfoo":
        # apart: promptfoo replaces {{ env.NAME }} wherever it stands in a configuration
        tests = {
            f"{name}.tests.json": _json([{"vars": {"inputs": row}} for row in texts])
            for name, texts in rows.items()
        }
        return tests | {
            f"{name}.promptfooconfig.json": _json(
                {
                    "description": f"{name}, exported from DSPy",
                    "prompts": [f"file://{name}.json"],
                    "providers": [
                        {
                            "id": "openai:chat:{{ env.PROMPTFOO_MODEL }}",
                            "config": {"passthrough": templates[name].config},
                        }
                    ],
                    "tests": f"file://{name}.tests.json",
                }
            )
            for name in rows
        }
    contents = {
        f"{name}.inputs.jsonl": "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in texts
        )
        for name, texts in rows.items()
    }
    if target == "inspect":
        template = files(__package__) / "inspect_tasks.py.tmpl"
        tasks = (
            _INSPECT_TASK.format(
                function=re.sub(r"\W", "_", name),
                name=name,
                inputs=f"{name}.inputs.jsonl",
            )
            for name in rows
        )
        contents["tasks.py"] = template.read_text("utf-8") + "".join(tasks)
    return contents


def _texts(
    stored: StoredProgram, inputs: Path | None
) -> dict[str, list[dict[str, str]]]:
    """For each predictor the texts of inputs: the table's, else its demos'.

    Raises:
        PoOptimizerError: The table cannot be read, or no predictor has all its inputs
            in it.
    """
    table = None
    if inputs:
        try:
            rows = parse_file(inputs.name, inputs.read_bytes())
        except ValueError as error:
            raise PoOptimizerError(
                f"--inputs={str(inputs)!r} cannot be read: {error}"
            ) from error
        table = [row.value for row in rows if isinstance(row.value, dict)]
    by_name = {name: p.signature.input_fields for name, p in stored.predictors.items()}
    texts = {
        name: [
            {field: text_of(info, row[field]) for field, info in fields.items()}
            for row in (stored.predictors[name].demos if table is None else table)
            if all(field in row for field in fields)
        ]
        for name, fields in by_name.items()
    }
    if table and not any(texts.values()):
        names = {name: list(fields) for name, fields in by_name.items()}
        raise ArtifactError(
            f"--inputs={str(inputs)!r} cannot be used: no row has all inputs of a "
            f"predictor ({names}). Name the columns like the inputs."
        )
    return texts


def _export_state(stored: StoredProgram, folder: Path) -> Iterator[str]:
    """DSPy's own state JSON, which `Module.load` of the same class reads."""
    target = folder / "state.json"
    kept = {id(predictor) for _, predictor in stored.program.named_parameters()}
    for name, predictor in stored.predictors.items():
        if predictor.lm is not None:
            predictor.lm = None
            yield f"not exported: the LM that {name} holds"
        if id(predictor) not in kept:
            yield f"not exported: {name}, in a frozen module, which DSPy leaves out"
    folder.mkdir(parents=True, exist_ok=True)
    stored.program.save(str(target))
    yield str(target)
    yield f"load it: program = YourClass(); program.load({str(target)!r})"
    yield "not exported: the types of fields and demos: DSPy's state does not hold them"
