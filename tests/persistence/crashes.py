"""Kills saves in forked processes and says what was left; run as a script.

Usage: crashes.py MODE ROUNDS FOLDER. Prints a JSON object: how often the old and the
new program was found, and each finding that was neither.

Modes: `syscalls` kills at the n-th system call of a save (strace), `rescue` does so
while a rescue file is written, `random` kills after a random time.
"""

import contextlib
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.errors import ArtifactError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import load_program, save_program

OLD, NEW = "Old instructions." * 300, "New instructions." * 300


def program(instructions: str, *, storable: bool = True) -> dspy.Predict:
    """A program with one demo; one that cannot be stored for rescue files."""
    made = dspy.Predict(dspy.Signature("question -> answer", instructions))
    made.demos = [{"question": "q", "answer": "a" if storable else object()}]
    return made


def save(path: Path, mode: str) -> None:
    """The save that is killed."""
    try:
        made = program(NEW, storable=mode != "rescue")
        save_program(made, path, dill="write", verify="off")
    except ArtifactError:
        os._exit(1 if mode == "rescue" else 2)
    os._exit(0)


def found(path: Path, dill: Any) -> str:
    """Which program is there: old, new, or what is wrong."""
    try:
        text = load_program(path, dill=dill).signature.instructions
    except ArtifactError as error:
        return str(error)
    return {OLD: "old", NEW: "new"}.get(text, text[:40])


def traced_child(path: Path, mode: str, kill_at: int) -> bool:
    """Save in a child that dies at its n-th system call; True if it lived."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        save(path, mode)
    os.close(reader)
    inject = f"inject=all:signal=SIGKILL:when={kill_at}"
    command = ["strace", "-qq", "-o", "/dev/null", "-p", str(child), "-e", inject]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
    while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None:
            break
        time.sleep(0.001)
    if tracer.poll() not in (None, 0, -signal.SIGKILL, 128 + signal.SIGKILL):
        os.kill(child, signal.SIGKILL)
        sys.exit("strace cannot attach here")
    with contextlib.suppress(BrokenPipeError):  # it died while it waited
        os.write(writer, b"x")
    os.close(writer)
    _, status = os.waitpid(child, 0)
    tracer.wait()
    return not os.WIFSIGNALED(status)


def timed_child(path: Path, mode: str, seconds: float) -> bool:
    """Save in a child that is killed after that time; True if it was done."""
    child = os.fork()
    if child == 0:
        save(path, mode)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def is_whole_or_absent(folder: Path) -> bool:
    """True when each published rescue file can be read."""
    for path in folder.glob("*.rescue.json"):
        fmt.parse(path.read_bytes(), str(path))
    return True


def main(mode: str, rounds: int, folder: Path) -> None:
    """Run the rounds; see the module's docstring."""
    logging.disable(logging.WARNING)
    counts = {"old": 0, "new": 0}
    wrong: list[str] = []
    dice = random.Random(9)  # noqa: S311 no secret
    span = 0.0
    for n in itertools.count(1):
        path = folder / str(n) / "program.json"
        save_program(program(OLD), path, dill="write", verify="off")
        started = time.perf_counter()
        if mode == "random":
            alive = timed_child(path, mode, dice.random() * span)
            span = span or (time.perf_counter() - started) * 4 + 0.01
        else:
            alive = traced_child(path, mode, n)
        for dill in ("off", "load"):
            state = found(path, dill)
            if state in counts:
                counts[state] += dill == "off"
            else:
                wrong.append(f"{n} {dill}: {state}")
        is_whole_or_absent(path.parent)
        if n >= rounds or (alive and mode != "random"):
            break
    sys.stdout.write(json.dumps({"rounds": n, **counts, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
