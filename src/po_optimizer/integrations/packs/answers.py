"""The answers that a run used: found where they are kept, and given once more.

Where a run is repeated, no LM is asked: a request without an answer stops it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import orjson
from dspy.clients.cache import _transform_value

from po_optimizer.integrations.packs.pack_file import canonical
from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.cache import EndpointCache, SingleFlight, identifying
from po_optimizer.lms.stops import BudgetReached
from po_optimizer.optimization.inputs import without_secrets

_CONTENT = {"messages", "prompt", "request", "response_format", "tools"}


class AnswerMissing(BudgetReached):
    """An answer is not there: the search ends in order, as at the end of a budget."""

    def __init__(self, why: str = "an LM was asked") -> None:
        BaseException.__init__(self, f"{why}.")


def request_of(parts: Mapping[str, Any]) -> str:
    """A request as a pack names it: without address, secrets and the run's own id."""
    settings = {k: v for k, v in parts.items() if k not in _CONTENT}
    settings = without_secrets(settings)
    settings.pop("po_optimization", None)
    content = {k: _transform_value(v) for k, v in parts.items() if k in _CONTENT}
    return canonical({**settings, **content})


class _Answers(EndpointCache):
    """Stands in the place of an endpoint's cache.

    Args:
        missing: Takes why an answer is not there, in words.
    """

    def __init__(self, missing: list[str]) -> None:
        self._missing = missing
        self.flight = SingleFlight()

    def _miss(self, problem: str, request: str) -> NoReturn:
        self._missing.append(f"{problem} a request that ends in {request[-300:]!r}")
        raise AnswerMissing(self._missing[-1])


class SealedAnswers(_Answers):
    """The answers of a pack.

    Args:
        missing: Takes why an answer is not there, in words.
        answers: By request.
    """

    def __init__(self, missing: list[str], answers: Mapping[str, bytes]) -> None:
        super().__init__(missing)
        self._sealed = answers

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The answer.

        Raises:
            AnswerMissing: It is not in the pack.
        """
        text = request_of(identifying(request, ignored))
        if text not in self._sealed:
            self._miss("nothing was answered then to", text)
        return orjson.loads(self._sealed[text])


class CollectedAnswers(_Answers):
    """The kept answers of a run, which collects those that are asked for.

    Args:
        folder: That the answer is looked for in first, by its name.
        missing: Takes why an answer is not there, in words.
        stores: The answers of a run by the name of their folder, likely ones first.
        used: Takes request and answer.
    """

    def __init__(
        self,
        folder: Path,
        missing: list[str],
        stores: Mapping[str, Answers],
        used: dict[str, bytes],
    ) -> None:
        super().__init__(missing)
        names = sorted(stores, key=lambda name: name != folder.name)
        self._stores = [stores[name] for name in names]
        self._used = used

    def get(self, request: dict[str, Any], ignored: list[str] | None = None) -> Any:
        """The answer.

        Raises:
            AnswerMissing: It is not kept, or another LM of the run gave another one.
        """
        identity = identifying(request, ignored)
        keys = (self.cache_key(identity), self.cache_key(request, ignored))
        text = request_of(identity)
        kept = (store.get(str(key)) for store in self._stores for key in keys)
        answer = next((answer for answer in kept if answer is not None), None)
        if answer is None:
            self._miss("no answer is kept to", text)
        data = orjson.dumps(answer)
        if self._used.setdefault(text, data) != data:
            self._miss("two LMs of one name answered differently to", text)
        return answer


def open_stores(ledgers: Iterable[Path], likely: Iterable[str]) -> dict[str, Answers]:
    """The answers beside these ledgers, by the name of their folder.

    Args:
        ledgers: Of the LMs of a run.
        likely: The names of folders that come first.
    """
    folders = {
        folder.name: folder
        for ledger in ledgers
        for folder in (ledger.parent / "response_cache").glob("*")
        if folder.is_dir()
    }
    stores = {}
    for name in dict.fromkeys([*likely, *sorted(folders)]):
        with suppress(KeyError):
            stores[name] = Answers(folders[name])
    return stores
