"""`po-optimizer runs`: what was run, side by side, promoted, pruned."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from po_optimizer.lms.visible import visible
from po_optimizer.persistence.format import read_local
from po_optimizer.persistence.outline import outline_program
from po_optimizer.reporting.runs import (
    KeptRun,
    RunSummary,
    demote,
    find_run,
    list_runs,
    promote_run,
    prune_runs,
)

REPORTING = Path("data/08_reporting")
_WIDTH_OF_A_FILE = 200


@click.group(invoke_without_command=True)
@click.option(
    "--reporting",
    type=click.Path(path_type=Path),
    default=REPORTING,
    help="The folder of reports, or one role's or LM's in it.",
)
@click.pass_context
def runs(context: click.Context, reporting: Path) -> None:
    """List the runs of every role and LM; with a command, look into them."""
    context.obj = reporting
    if context.invoked_subcommand is None:
        _show(list_runs(reporting), reporting)


@runs.command()
@click.argument("first")
@click.argument("second")
@click.pass_obj
def diff(reporting: Path, first: str, second: str) -> None:
    """Show scores and prompts of two runs side by side."""
    pair = [find_run(reporting, name) for name in (first, second)]
    table = Table(show_lines=True)
    table.add_column("")
    for kept in pair:
        table.add_column(_name(kept, reporting), overflow="fold")
    facts = [_facts(kept.summary) for kept in pair]
    for label in facts[0]:
        table.add_row(label, *(values[label] for values in facts))
    prompts = [_prompts(kept) for kept in pair]
    for path in dict.fromkeys(path for prompt in prompts for path in prompt):
        table.add_row(path, *(prompt.get(path, "-") for prompt in prompts))
    _print(table)


@runs.command()
@click.argument("run")
@click.option("--by", help="Who decides against what was measured.")
@click.pass_obj
def promote(reporting: Path, run: str, by: str | None) -> None:
    """Promote the program of a run that was judged: roll back, or forward again."""
    kept = find_run(reporting, run)
    champion = promote_run(kept, by=by)
    click.echo(visible(f"{_name(kept, reporting)} is promoted: {champion.reason}"))


@runs.command(name="demote")
@click.argument("run")
@click.option("--by", required=True, help="Who decides it.")
@click.pass_obj
def demote_command(reporting: Path, run: str, by: str) -> None:
    """Let the baseline run again for the role and LM of a run."""
    kept = find_run(reporting, run)
    demote(kept, by=by)
    click.echo(f"{kept.reporting}: no program is promoted, the baseline runs")


@runs.command()
@click.option("--keep", type=click.IntRange(0), required=True, help="Newest to keep.")
@click.pass_obj
def prune(reporting: Path, keep: int) -> None:
    """Delete the oldest runs of each role and LM, never the promoted one's."""
    deleted = prune_runs(reporting, keep)
    for folder in deleted:
        click.echo(str(folder))
    click.echo(f"{len(deleted)} runs deleted")


@click.command(name="open")
@click.argument("run", default="")
@click.option("--reporting", type=click.Path(path_type=Path), default=REPORTING)
def open_report(run: str, reporting: Path) -> None:
    """Open the last report, or a RUN's, in the browser; its path is printed."""
    import webbrowser  # noqa: PLC0415 -- `runs` is shown at once

    folders = [find_run(reporting, run).folder] if run else [reporting]
    pages = [page for folder in folders for page in folder.rglob("report.html")]
    if not pages:
        msg = f"{reporting} has no report yet: kedro run --pipeline=evaluate"
        raise click.ClickException(msg)
    newest = max(pages, key=lambda page: (page.stat().st_mtime, -len(page.parts)))
    click.echo(str(newest))
    webbrowser.open(newest.absolute().as_uri())


def _show(kept_runs: list[KeptRun], reporting: Path) -> None:
    if not kept_runs:
        click.echo(f"no run is kept in {reporting}: kedro run --pipeline=evaluate")
        return
    table = Table()
    table.add_column("run", no_wrap=True)  # it is copied from here
    for name in _facts(kept_runs[0].summary):
        table.add_column(name, overflow="fold")
    for kept in kept_runs:
        mark = " *" if kept.is_champion() else ""
        facts = _facts(kept.summary)
        table.add_row(f"{_name(kept, reporting)}{mark}", *facts.values())
    _print(table)
    click.echo("* promoted")


def _print(table: Table) -> None:
    """As wide as the terminal is; a file or a pipe has room."""
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_A_FILE)
    console.print(table)


def _facts(summary: RunSummary) -> dict[str, str]:
    cost = summary.usage.cost_usd
    splits = ("trainset", "valset", "testset")
    sizes = (str(summary.sizes.get(name, "?")) for name in splits)
    return {
        "optimizer": summary.optimizer or "-",
        "train/val/test": "/".join(sizes) if summary.sizes else "-",
        "score": summary.score.describe(),
        "uplift": summary.uplift.describe("+.3f", "+.3f"),
        "decision": summary.decision,
        "calls": str(summary.usage.paid),
        "US dollars": "unknown" if cost is None else f"{cost:.4f}",
    }


def _prompts(kept: KeptRun) -> dict[str, str]:
    document = kept.folder / "program.json"
    return {
        f"{predictor.path} ({len(predictor.demos)} demos)": visible(
            predictor.instructions
        )
        for predictor in outline_program(read_local(document))
    }


def _name(kept: KeptRun, reporting: Path) -> str:
    return f"{kept.reporting.relative_to(reporting)} {kept.folder.name}".removeprefix(
        ". "
    )
