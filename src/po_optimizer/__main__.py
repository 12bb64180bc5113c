"""`python -m po_optimizer` and `po-optimizer`: what one can do.

Kedro's convention for packaged projects is kept: `po-optimizer --env=ollama` runs the
pipelines, `main(["--env", "ollama"])` does it from a scheduler.
"""

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from po_optimizer import __version__

COMMANDS = {
    "run": ("po_optimizer.cli:run", "Run the pipelines."),
    "open": ("po_optimizer.console.runs:open_report", "Open the last report."),
    "show": ("po_optimizer.console.show:show", "Show the prompts of a stored program."),
    "runs": ("po_optimizer.console.runs:runs", "List, compare, remove finished runs."),
    "new": ("po_optimizer.cli:new", "Write the files of a new role that runs."),
    "watch": (
        "po_optimizer.integrations.watch.command:watch",
        "Show running optimizations on a page; pause or stop them.",
    ),
    "import-traces": (
        "po_optimizer.integrations.traces.command:import_traces",
        "Write records out of MLflow's, Langfuse's or OTLP traces.",
    ),
    "pack": (
        "po_optimizer.integrations.packs.command:pack",
        "Seal an optimization in one file.",
    ),
    "replay": (
        "po_optimizer.integrations.packs.command:replay_command",
        "Repeat a packed optimization without an LM, or under another metric.",
    ),
    "export": (
        "po_optimizer.integrations.exports.command:export",
        "Write a stored program's prompts for use without DSPy.",
    ),
}
"""Each command, the object that is loaded when it is called, and a line on it."""

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


class _Commands(click.Group):
    """Commands whose modules load when they are called: Kedro takes a second.

    Bare options are `run`'s, as in packaged Kedro projects.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; None if there is none of this name.

        Raises:
            click.ClickException: Kedro is not installed.
        """
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        if module == "po_optimizer.cli":
            _configure_project()
        gc.disable()  # what imports make stays: searching it takes time
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; its expected failures end in one sentence.

        Raises:
            click.ClickException: The sentence, with the exit code of the failure.
        """
        from po_optimizer.errors import PoOptimizerError  # noqa: PLC0415 -- no --help
        from po_optimizer.lms.visible import visible  # noqa: PLC0415 -- needs them

        try:
            return super().invoke(ctx)
        except PoOptimizerError as error:
            failed = click.ClickException(visible(str(error)))
            failed.exit_code = error.exit_code  # type: ignore[misc]  # as click reads it
            raise failed from error
        except OSError as error:
            if error.filename is None:
                raise
            msg = f"{error.filename}: {error.strerror}"
            raise click.ClickException(visible(msg)) from error

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Their lines, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `run` before options that are not the group's own."""
        if args and args[0].startswith("-") and args[0] not in ("--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The pipelines as a table."""
        with formatter.section("Pipelines (run --pipeline=<name>)"):
            formatter.write_dl(list(PIPELINES.items()))


def _configure_project() -> None:
    try:
        from kedro.framework.project import configure_project  # noqa: PLC0415
    except ModuleNotFoundError as error:
        install = f"pip install '{_NAME}[kedro]'"
        msg = f"this command needs the extra kedro. Install it: {install}"
        raise click.ClickException(msg) from error
    configure_project(Path(__file__).parent.name)


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name=_NAME)
def group() -> None:
    """Optimize a DSPy program, store it whole, measure it honestly, use it.

    Run it in the project's folder, or give --conf-source.
    """


def main(*args: Any, **kwargs: Any) -> Any:
    """The commands; arguments are click's."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # no .telemetry outside the project
    kwargs.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    kwargs.setdefault("prog_name", _NAME)
    return group(*args, **kwargs)


if __name__ == "__main__":
    main()
