"""The page's server: one page, one stream of events, and what the page asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import compare_digest
from typing import Any

from pydantic import ValidationError

from po_optimizer.errors import needs_extra
from po_optimizer.files import write_whole
from po_optimizer.integrations.watch.state import WatchedRun, find_runs
from po_optimizer.optimization.steering import FILE, SteeringRequest, read_request
from po_optimizer.params.optimize import BudgetParams

with needs_extra("watch", "the live page"):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request as HTTPRequest
    from starlette.responses import (
        HTMLResponse,
        PlainTextResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import Route

_PAGE = Path(__file__).with_name("page.html")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; connect-src 'self'",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cache-Control": "no-store",
}


class Watch:
    """The routes of the page.

    Args:
        folder: Below which optimizations are looked for.
        token: Which every address must hold.
        seconds: Between two looks.
    """

    def __init__(self, folder: Path, token: str, seconds: float = 1.0) -> None:
        self._folder = folder
        self._token = token
        self._seconds = seconds

    def app(self) -> Starlette:
        """The application; it answers to names of this machine only."""
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"])
        return Starlette(
            routes=[
                Route("/{token}/", self.page),
                Route("/{token}/events", self.events),
                Route("/{token}/{run}/{action}", self.steer, methods=["POST"]),
            ],
            middleware=[hosts],
        )

    def _refused(self, request: HTTPRequest) -> Response | None:
        if compare_digest(request.path_params["token"], self._token):
            return None
        return PlainTextResponse("The address is that which was printed.", 404)

    async def page(self, request: HTTPRequest) -> Response:
        """The page."""
        page = HTMLResponse(_PAGE.read_text("utf-8"), headers=_HEADERS)
        return self._refused(request) or page

    async def events(self, request: HTTPRequest) -> Response:
        """A server-sent event whenever something changed."""
        stream = StreamingResponse(
            self._changes(), media_type="text/event-stream", headers=_HEADERS
        )
        return self._refused(request) or stream

    async def _changes(self) -> AsyncIterator[str]:
        earlier = ""
        while True:
            text = await asyncio.to_thread(self._state)
            yield ": nothing new\n\n" if text == earlier else f"data: {text}\n\n"
            earlier = text
            await asyncio.sleep(self._seconds)

    def _state(self) -> str:
        return json.dumps([run.describe() for run in find_runs(self._folder)])

    async def steer(self, request: HTTPRequest) -> Response:
        """Pauses, resumes or stops a run, or replaces bounds of its budget."""
        if refused := self._refused(request):
            return refused
        identity, action = request.path_params["run"], request.path_params["action"]
        run = next((r for r in find_runs(self._folder) if r.id == identity), None)
        if run is None or not run.is_running():
            return PlainTextResponse("This optimization does not run.", 409)
        try:
            values = json.loads(await request.body() or b"{}")
            wanted = _wanted(run, action, values)
        except (ValueError, ValidationError) as error:
            return PlainTextResponse(str(error), 400)
        write_whole(run.workspace / FILE, wanted.model_dump_json())
        return PlainTextResponse("asked")


def _wanted(run: WatchedRun, action: str, values: Any) -> SteeringRequest:
    """What the run is asked from now on.

    Raises:
        ValueError: There is no such action.
    """
    changes: dict[str, dict[str, Any]] = {
        "pause": {"pause": True},
        "resume": {"pause": False},
        "stop": {"stop": True, "pause": False},
    }
    request = read_request(run.workspace)
    if action == "budget":
        budget = BudgetParams.model_validate(values)
        return request.model_copy(update={"budget": budget})
    if action not in changes:
        raise ValueError(f"There is no {action!r}: pause, resume, stop or budget.")
    return request.model_copy(update=changes[action])
