"""The page's server: one page, one stream of events, and what the page asks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from secrets import compare_digest

from pydantic import ValidationError

from po_optimizer.errors import field_problems, needs_extra
from po_optimizer.files import write_whole
from po_optimizer.integrations.watch.state import WatchedRun, find_runs
from po_optimizer.optimization.steering import FILE, SteeringRequest, read_request
from po_optimizer.params.optimize import BudgetParams

with needs_extra("watch", "the live page"):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
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


def make_app(folder: Path, token: str, seconds: float = 1.0) -> Starlette:
    """The application; it answers to names of this machine only.

    Args:
        folder: Below which optimizations are looked for.
        token: Which every address must hold.
        seconds: Between two looks.
    """

    def route(
        path: str, answer: Callable[[Request], Awaitable[Response]], method: str = "GET"
    ) -> Route:
        async def checked(request: Request) -> Response:
            given = request.path_params["token"].encode("utf-8", "replace")
            if compare_digest(given, token.encode()):
                return await answer(request)
            return PlainTextResponse("The address is that which was printed.", 404)

        return Route(f"/{{token}}{path}", checked, methods=[method])

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE.read_text("utf-8"), headers=_HEADERS)

    async def events(_: Request) -> Response:
        stream = _changes(folder, seconds)
        return StreamingResponse(stream, 200, _HEADERS, "text/event-stream")

    async def steer(request: Request) -> Response:
        name, action = request.path_params["run"], request.path_params["action"]
        run = next((r for r in find_runs(folder) if r.id == name), None)
        if run is None or not run.is_running():
            return PlainTextResponse("This optimization does not run.", 409)
        try:
            request_now = _changed(run, action, await request.body())
        except ValidationError as error:
            return PlainTextResponse("; ".join(field_problems(error)), 400)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        text = request_now.model_dump_json(exclude_unset=True)
        write_whole(run.workspace / FILE, text)
        return PlainTextResponse("asked")

    return Starlette(
        routes=[
            route("/", page),
            route("/events", events),
            route("/{run}/{action}", steer, "POST"),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"])],
    )


async def _changes(folder: Path, seconds: float) -> AsyncIterator[str]:
    """A server-sent event whenever something changed."""

    def describe_runs() -> str:
        return json.dumps([run.describe() for run in find_runs(folder)])

    earlier = ""
    while True:
        text = await asyncio.to_thread(describe_runs)
        yield ": nothing new\n\n" if text == earlier else f"data: {text}\n\n"
        earlier = text
        await asyncio.sleep(seconds)


def _changed(run: WatchedRun, action: str, body: bytes) -> SteeringRequest:
    """What the run is asked from now on.

    Args:
        run: The one that is asked.
        action: A button of the page.
        body: Of `budget` the bounds that are replaced, as JSON.

    Raises:
        ValidationError: The body is no budget.
        ValueError: There is no such action.
    """
    changes = {
        "pause": {"pause": True},
        "resume": {"pause": False},
        "stop": {"stop": True, "pause": False},
    }
    request = read_request(run.workspace)
    if action == "budget":
        bounds = BudgetParams.model_validate_json(body)
        earlier = request.budget or bounds
        new = bounds.model_dump(exclude_unset=True)
        return request.model_copy(update={"budget": earlier.model_copy(update=new)})
    if action not in changes:
        raise ValueError(f"There is no {action!r}: pause, resume, stop or budget.")
    return request.model_copy(update=changes[action])
