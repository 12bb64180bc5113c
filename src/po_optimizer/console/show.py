"""`po-optimizer show`: the prompt of a stored program, without Kedro."""

from pathlib import Path

import click

from po_optimizer.lms.visible import visible
from po_optimizer.persistence.format import newest, read_local
from po_optimizer.persistence.outline import outline_program


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def show(path: Path) -> None:
    """Print the prompt of a stored program; its code is not run."""
    click.echo(visible(describe_program(path)))


def describe_program(path: Path) -> str:
    """The prompts in a document, or in the newest version in its folder."""
    path = newest(path)
    parts = [
        f"{predictor.path}\n{predictor.instructions}\n\n"
        f"{', '.join(predictor.inputs)} -> {', '.join(predictor.outputs)}; "
        f"demos: {len(predictor.demos)}"
        for predictor in outline_program(read_local(path))
    ]
    return "\n\n".join([str(path), *parts])
