"""Draws the pictures of the docs from a finished run of this project.

`python scripts/make_pictures.py --params role=return_form` types `kedro run` again with
these options, whose answers are kept, and looks at what it left: the end in the
terminal, the report, the curve of the search, and kedro-viz (`make viz-build`).

It needs `pip install pyte pillow`, and chromium and chromedriver (Debian).
"""

import fcntl
import functools
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from pathlib import Path

import pyte
from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
COLUMNS, LINES = 100, 400
COLORS = 64
"""Of a picture of a page: enough for text and bars, a quarter of the bytes."""


def draw_terminal(command: list[str], target: Path) -> None:
    """How a run ends in a terminal: from its result to what it took."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    for piece in _typed(command):
        stream.feed(piece)
    rows = [_row(screen, number) for number in range(LINES)]
    bold = next(n for n, row in enumerate(rows) if "bold" in str(row.spans))
    took = next(n for n, row in enumerate(rows) if row.plain.startswith("took "))
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text("$ " + shlex.join(command), style="bold"))
    for row in rows[bold:took]:
        console.print(row, soft_wrap=True)
    picture = console.export_svg(
        title="po_optimizer", theme=DIMMED_MONOKAI, code_format=_without_fonts()
    )
    target.write_text(picture, encoding="utf-8")


def _typed(command: list[str]) -> Iterator[bytes]:
    """What a command writes to a terminal of COLUMNS columns, piece by piece."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(  # noqa: S603 -- what the caller names
        command,
        stdout=side,
        stderr=side,
        stdin=side,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
    ):
        os.close(side)
        try:
            while piece := os.read(main, 65536):
                yield piece
        except OSError:  # the other end is closed
            pass
    os.close(main)


def _row(screen: pyte.Screen, number: int) -> Text:
    text = Text(no_wrap=True)
    for column in range(COLUMNS):
        cell = screen.buffer[number][column]
        color = "" if cell.fg == "default" else _color(cell.fg)
        style = f"{'bold ' * cell.bold}{'italic ' * cell.italics}{color}".strip()
        text.append(cell.data, style=style or None)
    text.rstrip()
    return text


def _color(name: str) -> str:
    """As rich calls what pyte names."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("bright", "bright_").replace("brown", "yellow")


def _without_fonts() -> str:
    """Rich's frame; it would fetch its letters from another server."""
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    frame = frame.replace("Fira Code", "ui-monospace")
    return re.sub(r"\n\s*\n+", "\n", frame)


@contextmanager
def browser(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a window of that size."""
    options = webdriver.ChromeOptions()
    flags = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars"
    for flag in [*flags.split(), f"--window-size={width},{height + 140}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options)
    try:
        yield driver
    finally:
        driver.quit()


def keep(png: bytes, target: Path, height: int | None = None) -> None:
    """A picture of a page with few colors, cut at a height."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    if height is not None:
        picture = picture.crop((0, 0, picture.width, min(height, picture.height)))
    picture.quantize(COLORS).save(target, optimize=True)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Silent."""


def draw_report(report: Path) -> None:
    """The report's first screen, and its curve of the search."""
    with browser(1280, 860) as driver:
        driver.get(report.resolve().as_uri())
        driver.implicitly_wait(10)
        keep(driver.get_screenshot_as_png(), PICTURES / "report.png", 860)
        curve = driver.find_element(By.CSS_SELECTOR, "#figure-history")
        driver.execute_script("arguments[0].scrollIntoView()", curve)
        keep(curve.screenshot_as_png, PICTURES / "search.png")


def draw_viz() -> None:
    """kedro-viz with its five stages, as `make viz-build` wrote it."""
    with served(ROOT / "build") as address, browser(1280, 900) as driver:
        driver.get(address)
        driver.implicitly_wait(40)
        driver.find_element(By.CSS_SELECTOR, ".pipeline-node")
        time.sleep(2)  # until the drawing stands still
        hints = "document.querySelectorAll('[class^=feature-hints]')"
        driver.execute_script(f"{hints}.forEach(hint => hint.remove())")
        keep(driver.get_screenshot_as_png(), PICTURES / "kedro-viz.png", 900)


def main(options: list[str]) -> None:
    """All pictures."""
    PICTURES.mkdir(exist_ok=True)
    draw_terminal(["kedro", "run", *options], PICTURES / "terminal.svg")
    reports = (ROOT / "data/08_reporting").glob("*/*/report.html")
    draw_report(max(reports, key=lambda path: path.stat().st_mtime))
    draw_viz()


if __name__ == "__main__":
    main(sys.argv[1:])
