"""`python -m po_optimizer` and `po-optimizer`: what one can do.

Kedro's convention for packaged projects is kept: `po-optimizer --env=ollama` runs the
pipelines, `main(["--env", "ollama"])` does it from a scheduler.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import configure_project

from po_optimizer import __version__
from po_optimizer.cli import new, run, show
from po_optimizer.console.runs import runs

_NAME = "po-optimizer"

PIPELINES = {
    "__default__": "all five stages",
    "data_prep": "raw records to disjoint splits",
    "optimize": "the splits and the LMs to a candidate program",
    "persist": "the candidate to a released, verified artifact",
    "evaluate": "both programs on the testset, and a decision",
    "integrate": "a requirements document to a vision and a review",
    "predict": "a table of inputs to a table of outputs, for any role",
    "forecast": "what an optimization would cost, without paying it",
    "sweep": "several configurations side by side, and which is best",
    "compare": "every run ranked, of LMs and sweeps; asks no LM",
    "metric_report": "is the metric worth optimizing? asks no LM",
}
"""What `po-optimizer run --pipeline=<name>` takes, each with one line."""


class _RunByDefault(click.Group):
    """A group that takes bare options for `run`'s, as packaged Kedro projects do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `run` before options that are not the group's own."""
        if args and args[0].startswith("-") and args[0] not in ("--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The pipelines as a table."""
        with formatter.section("Pipelines (run --pipeline=<name>)"):
            formatter.write_dl(list(PIPELINES.items()))


@click.group(cls=_RunByDefault)
@click.version_option(__version__, prog_name=_NAME)
def group() -> None:
    """Optimize a DSPy program, store it whole, measure it honestly, use it.

    Run it in the project's folder, or give --conf-source.
    """


group.add_command(run, name="run")
group.add_command(show, name="show")
group.add_command(runs, name="runs")
group.add_command(new, name="new")


def main(*args: Any, **kwargs: Any) -> Any:
    """The commands; arguments are click's."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # no .telemetry outside the project
    configure_project(Path(__file__).parent.name)
    kwargs.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    kwargs.setdefault("prog_name", _NAME)
    return group(*args, **kwargs)


if __name__ == "__main__":
    main()
