"""`po-optimizer watch`: the live page of what runs below a folder."""

import secrets
import socket
from pathlib import Path

import click

from po_optimizer.errors import needs_extra


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, exists=True), default=Path("data")
)
@click.option("--port", default=0, help="On 127.0.0.1; 0: a free one.")
def watch(folder: Path, port: int) -> None:
    """Serve a page that shows the optimizations below FOLDER while they run.

    The page pauses, stops in order, or replaces the budget. Whoever has the address,
    which holds a token, may do so.
    """
    with needs_extra("watch", "the live page"):
        import uvicorn  # noqa: PLC0415

        from po_optimizer.integrations.watch.server import make_app  # noqa: PLC0415
    token = secrets.token_urlsafe(16)
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", port))
        address = f"http://127.0.0.1:{place.getsockname()[1]}/{token}/"
        click.echo(f"{address} (Ctrl-C ends the page, not the runs)")
        app = make_app(folder.absolute(), token)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[place])
