"""`kedro run` with errors as sentences: no traceback for a user's mistake."""

import copy
import functools
import os
import sys
import threading
import warnings
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import yaml
from kedro.framework.cli.hooks import cli_hook_impl, get_cli_hook_manager
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from kedro.utils import find_kedro_project, load_obj
from rich.console import Console

from po_optimizer.console.logs import show_examples
from po_optimizer.console.messages import explain, print_plainly
from po_optimizer.console.next_step import Invocation, params_of
from po_optimizer.console.show import show
from po_optimizer.errors import (
    InterruptedRunError,
    PoOptimizerError,
    SettingError,
    causes,
    listed,
    nearest,
)
from po_optimizer.lms.stops import StopRun, force_exit
from po_optimizer.lms.visible import visible
from po_optimizer.roles.scaffold import write_role

_INTERRUPTED = (
    "stopped, by a signal (Ctrl-C) or because nobody reads on. What is stored and "
    "every LM answer so far is kept: the same command resumes."
)
_GRACE_SECONDS = 1.0  # from the second Ctrl-C, for what is to be tidied up
_RUNNERS = ("SequentialRunner", "ThreadRunner")

_exiting = threading.Lock()

sys.excepthook = print_plainly  # Kedro imports this module before any of its commands


class RunError(click.ClickException):
    """One sentence on stderr, and an exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(visible(message))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance


class CommandHooks:
    """Kedro's hook before each of its commands."""

    @cli_hook_impl
    def before_command_run(
        self, project_metadata: ProjectMetadata | None, command_args: list[str]
    ) -> None:
        """Checks the configuration that `kedro viz` reads in another process.

        That process would show a traceback and leave kedro-viz waiting for it.
        """
        needless = {"--help", "--load-file"} & set(command_args)
        if project_metadata is None or command_args[:1] != ["viz"] or needless:
            return
        parser = ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--env", "-e")
        parser.add_argument("--params", default="", type=params_of)
        options, _ = parser.parse_known_args(command_args)
        session = KedroSession.create(
            project_metadata.project_path,
            env=options.env,
            runtime_params=options.params,
        )
        session.load_context()


get_cli_hook_manager().register(CommandHooks())


@click.group(name="po_optimizer")
def cli() -> None:
    """The project's own commands."""


def with_plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose expected failures end in one sentence."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        # `--pipeline` is what our users are told; both spellings work
        warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")
        ended = threading.Event()
        force_exit.clear()  # of an earlier run of this process
        threading.Thread(target=_watch_force_exit, args=(ended,), daemon=True).start()
        try:
            return command(*args, **options)
        except KeyboardInterrupt as error:
            raise RunError(_INTERRUPTED, InterruptedRunError.exit_code) from error
        except StopRun as stop:
            raise RunError(str(stop), stop.as_error().exit_code) from stop
        except Exception as error:
            if os.environ.get("PO_TRACEBACK"):
                raise
            sentence = _unknown_name(options) or explain(error)
            if sentence is None:
                raise
            invocation = Invocation(options.get("env"), options.get("params"))
            sentence = invocation.complete(sentence)
            codes = (
                e.exit_code for e in causes(error) if isinstance(e, PoOptimizerError)
            )
            raise RunError(sentence, next(codes, 1)) from error
        finally:
            ended.set()
            if force_exit.is_set():
                _exit()

    return run


def _unknown_name(options: dict[str, Any]) -> str | None:
    """The sentence for a pipeline, node or runner that does not exist; None: all do.

    Kedro raises ValueError and AttributeError for it, and does not list what there is.
    Its ParallelRunner fails when it pickles the catalog.
    """
    runner = options.get("runner") or _RUNNERS[0]
    remedy = f"Choose {listed(_RUNNERS)}, or the dotted path of another one."
    try:
        loaded = load_obj(runner, "kedro.runner")
    except (ImportError, AttributeError):
        loaded = None
    if not isinstance(loaded, type):
        problem = f"there is no such runner{nearest(runner, _RUNNERS)}"
        return str(SettingError("runner", runner, problem, remedy))
    if runner.endswith("ParallelRunner"):
        problem = "a run's LMs are of one process, and its stages wait for one another"
        remedy += " Several configurations run in parallel: --pipeline=sweep."
        return str(SettingError("runner", runner, problem, remedy))
    for option, names in _names_there_are().items():
        values = options.get(option) or ()
        for name in [values] if isinstance(values, str) else values:
            if name not in names:
                setting = option.replace("_", "-").replace("node-names", "nodes")
                problem = f"there is none of this name{nearest(name, names)}"
                several = f", or several: --pipelines={name}" if "," in name else ""
                remedy = f"Choose one of {listed(names, 30)}{several}."
                return str(SettingError(f"--{setting}", name, problem, remedy))
    return None


def _names_there_are() -> dict[str, list[str]]:
    """The valid names for the options of `kedro run`, by option."""
    stages = [name for name in sorted(pipelines) if name != "__default__"]
    nodes = [node for stage in stages for node in pipelines[stage].nodes]
    names = sorted({node.name for node in nodes})
    datasets = {name for stage in stages for name in pipelines[stage].datasets()}
    return {
        **dict.fromkeys(("pipeline", "pipelines"), stages),
        **dict.fromkeys(("node_names", "from_nodes", "to_nodes"), names),
        **dict.fromkeys(("from_inputs", "to_outputs"), sorted(datasets)),
        "tags": sorted({tag for node in nodes for tag in node.tags}),
    }


def _watch_force_exit(ended: threading.Event) -> None:
    """Exits after a second Ctrl-C, even while threads wait for an LM."""
    while not ended.wait(0.1):
        if force_exit.is_set() and not ended.wait(_GRACE_SECONDS):
            _exit()


def _exit() -> NoReturn:
    """Ends the process at once; `sys.exit` would wait for those threads."""
    with _exiting:  # by one of the two that come here
        console = Console()
        if console.is_terminal:
            console.show_cursor()  # a live display hid it
        click.echo(f"Error: {_INTERRUPTED}", err=True)
        os._exit(InterruptedRunError.exit_code)


@click.group()
def new() -> None:
    """Write the files of a new role."""


@new.command()
@click.argument("name")
@click.option("--inputs", required=True, help="Fields that are given: question,context")
@click.option("--outputs", required=True, help="Fields that are asked for: answer")
def role(name: str, inputs: str, outputs: str) -> None:
    """Write a role that runs, in roles/NAME: fill it with your own."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    fields = ([part.strip() for part in text.split(",")] for text in (inputs, outputs))
    for path in write_role(project, name, *fields):
        click.echo(path.relative_to(project))
    click.echo(f"Run it: kedro run --params role={name}")


def _parse(context: click.Context, args: list[str]) -> list[str]:
    """Parses the options of `kedro run`; Kedro's own errors there have no sentence."""
    try:
        return click.Command.parse_args(run, context, args)
    except (KedroCliError, yaml.YAMLError) as error:
        raise RunError(" ".join(str(error).split())) from error


run = copy.copy(kedro_run)
run.parse_args = _parse  # type: ignore[assignment, method-assign]
run.params = [copy.copy(option) for option in kedro_run.params]
next(o for o in run.params if o.name == "params").callback = lambda _, __, text: (
    text if isinstance(text, dict) else params_of(str(text))
)
run.callback = with_plain_errors(kedro_run.callback)  # type: ignore[arg-type]
run.params.append(
    click.Option(
        ["--verbose", "-v"],
        is_flag=True,
        expose_value=False,
        callback=lambda _, __, verbose: show_examples() if verbose else None,
        help="A line for each example.",
    )
)
cli.add_command(run, name="run")
cli.add_command(show)
