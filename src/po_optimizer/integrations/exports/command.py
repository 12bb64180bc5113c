"""`po-optimizer export`: the prompts of a stored program in another tool's form."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click

from po_optimizer.errors import ArtifactError, PoOptimizerError
from po_optimizer.files import write_whole
from po_optimizer.integrations.exports.conformance import check_export
from po_optimizer.integrations.exports.inspect_tasks import inspect_files
from po_optimizer.integrations.exports.program import (
    StoredProgram,
    frozen_predictors,
    read_program,
)
from po_optimizer.integrations.exports.targets import (
    TARGETS,
    Files,
    promptfoo_files,
)
from po_optimizer.integrations.exports.template import (
    AdapterName,
    make_template,
    text_of,
)
from po_optimizer.lms.visible import visible
from po_optimizer.records.reading import parse_file

_STATE = "dspy"


@click.command()
@click.argument("program", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", required=True, type=click.Choice([*TARGETS, _STATE]))
@click.option(
    "--adapter",
    type=click.Choice(get_args(AdapterName)),
    default="json",
    show_default=True,
    help="How DSPy asks: the lm.adapter that the program was measured with.",
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
    adapter: AdapterName,
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
    path: Path, target: str, adapter: AdapterName, folder: Path, inputs: Path | None
) -> Iterator[str]:
    """Writes the export; yields what there is to say about it, a line each.

    Raises:
        ArtifactError: The program cannot be read, or cannot be exported whole.
    """
    stored = read_program(path)
    if target == _STATE:
        yield from _export_state(stored, folder)
        return
    files, compared = _exported(stored, target, adapter)
    if inputs is not None or target in ("promptfoo", "inspect"):
        rows = _texts(stored, inputs)
        files |= _with_rows(target, rows)
    for name, content in files.items():
        write_whole(folder / name, content)
    for name in sorted(files):
        yield str(folder / name)
    for name, n in compared.items():
        yield f"{name}: {n} of {n} inputs render as DSPy's {adapter} adapter sends them"
    for part in stored.left_out:
        yield f"not exported: {part}"


def _exported(
    stored: StoredProgram, target: str, adapter: AdapterName
) -> tuple[Files, dict[str, int]]:
    """The files, and for each predictor how many inputs were compared."""
    kind = TARGETS[target]
    files: Files = {}
    compared: dict[str, int] = {}
    for name, predictor in stored.predictors.items():
        template = make_template(name, predictor, adapter)
        own = kind.files(template)
        compared[name] = check_export(template, predictor, adapter, kind.renderer(own))
        files |= own
    return files, compared


def _with_rows(target: str, rows: Mapping[str, list[dict[str, str]]]) -> Files:
    if target == "promptfoo":
        return promptfoo_files(rows)
    lines = {
        f"{name}.inputs.jsonl": "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in texts
        )
        for name, texts in rows.items()
    }
    return lines | (inspect_files(list(rows)) if target == "inspect" else {})


def _texts(
    stored: StoredProgram, inputs: Path | None
) -> dict[str, list[dict[str, str]]]:
    """For each predictor the texts of inputs: the table's, else its demos'.

    Raises:
        ArtifactError: No predictor has all its inputs in the table.
    """
    table = _table(inputs) if inputs else None
    texts = {}
    for name, predictor in stored.predictors.items():
        fields = predictor.signature.input_fields
        rows = predictor.demos if table is None else table
        texts[name] = [
            {field: text_of(info, row[field]) for field, info in fields.items()}
            for row in rows
            if all(field in row for field in fields)
        ]
    if table and not any(texts.values()):
        names = {
            name: list(p.signature.input_fields)
            for name, p in stored.predictors.items()
        }
        raise ArtifactError(
            f"--inputs={str(inputs)!r} cannot be used: no row has all inputs of a "
            f"predictor ({names}). Name the columns like the inputs."
        )
    return texts


def _table(path: Path) -> list[dict[str, Any]]:
    try:
        rows = parse_file(path.name, path.read_bytes())
    except ValueError as error:
        raise PoOptimizerError(
            f"--inputs={str(path)!r} cannot be read: {error}"
        ) from error
    return [row.value for row in rows if isinstance(row.value, dict)]


def _export_state(stored: StoredProgram, folder: Path) -> Iterator[str]:
    """DSPy's own state JSON, which `Module.load` of the same class reads."""
    target = folder / "state.json"
    folder.mkdir(parents=True, exist_ok=True)
    stored.program.save(str(target))
    yield str(target)
    yield f"load it: program = YourClass(); program.load({str(target)!r})"
    for name in frozen_predictors(stored):
        yield f"not exported: {name}, which is in a frozen module: DSPy leaves it out"
    yield "not exported: the types of fields and demos, which DSPy's state has not"
