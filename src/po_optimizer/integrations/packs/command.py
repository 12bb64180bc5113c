"""`po-optimizer pack` and `replay`."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from po_optimizer.integrations.packs.code import find_code
from po_optimizer.integrations.packs.sealing import Replayed, pack_run, replay
from po_optimizer.lms.visible import visible
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import load_metric

_PATH = click.Path(path_type=Path)
_WIDTH_OF_A_FILE = 160
_program = click.option(
    "--program",
    metavar="MODULE:NAME",
    help="Of a run of Python's optimize: the program, its class or a function.",
)
_own_metric = click.option(
    "--own-metric", metavar="MODULE:NAME", help="Likewise: the metric of the run."
)


@click.command(name="pack")
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--output", type=_PATH, help="The file; run.zip.")
@_program
@_own_metric
def pack(
    run: Path, output: Path | None, program: str | None, own_metric: str | None
) -> None:
    """Seal the optimization in the folder RUN in one file.

    It is repeated first by its own kept answers, so that the file is proven. The file
    holds trainset, valset, prompts, answers, journal, program and versions; no key,
    no address.
    """
    target = output or Path("run.zip")
    _import_from_here()
    code = partial(find_code, program=program, metric=own_metric)
    sealed = pack_run(run, target, code=code)
    click.echo(
        f"{target}: {len(sealed.trials)} trials, {len(sealed.answers)} answers, "
        f"{target.stat().st_size:,} bytes; repeated with 0 LM calls"
    )


@click.command(name="replay")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--output", type=_PATH, help="Folder for program.json; replay.")
@click.option(
    "--metric",
    metavar="MODULE:FUNCTION",
    help="Another metric: rank every candidate by it, too.",
)
@_program
@_own_metric
def replay_command(
    file: Path,
    *,
    output: Path | None,
    metric: str | None,
    program: str | None,
    own_metric: str | None,
) -> None:
    """Repeat a packed optimization with 0 LM calls, to the same program.

    Program and metric are the role's in the project here, or those that you name: what
    FILE names is never imported. With --metric it also says what would have won.
    """
    _import_from_here()
    other = load_metric(RoleParams(metric=metric)) if metric else None
    code = partial(find_code, program=program, metric=own_metric)
    replayed = replay(file, output or Path("replay"), code=code, metric=other)
    for line in _lines(file, replayed):
        click.echo(visible(line))
    if metric:
        _show_ranking(replayed, metric)


def _import_from_here() -> None:
    """Lets modules of the working directory be named, and of a project's roles."""
    for folder in (Path.cwd(), Path.cwd() / "roles"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _lines(file: Path, replayed: Replayed) -> Iterator[str]:
    for difference in replayed.differences:
        yield f"different here, without effect: {difference}"
    yield (
        f"{file}: {len(replayed.trials)} trials of {replayed.optimizer} repeated with "
        f"{replayed.n_paid} LM calls, best {replayed.trials[-1].best:.4f} "
        f"(n={replayed.n_val})"
    )
    yield f"{replayed.program}: byte for byte as sealed, sha256 {replayed.sha256}"


def _show_ranking(replayed: Replayed, metric: str) -> None:
    table = Table("rank", "was", "candidate", "score", "was", "n", "failed")
    for row in replayed.ranking:
        ranks = (str(rank or "-") for rank in (row.other_rank, row.rank))
        scores = (f"{score:.4f}" for score in (row.other_score, row.score))
        counts = (f"{row.n} of {replayed.n_val}", str(row.n_failed))
        table.add_row(*ranks, row.name, *scores, *counts)
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    console.print(table)
    whole = [row for row in replayed.ranking if row.rank is not None]
    earlier = next(row for row in whole if row.rank == 1)
    same = " too" if whole[0] is earlier else f"; it was {earlier.name}"
    click.echo(visible(f"by {metric} the best is {whole[0].name}{same}"))
    if gaps := len(replayed.ranking) - len(whole):
        click.echo(
            f"{gaps} candidates are not ranked: their answers to part of the valset "
            "are not in the run, which evaluated them on a minibatch or gave them up"
        )
