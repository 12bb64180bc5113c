"""Answers a repeated run from what the run itself was answered.

No LM is asked: a request without a kept answer ends the search.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from dspy.clients.cache import _transform_value

from po_optimizer.integrations.packs.pack_file import canonical
from po_optimizer.lms.answer_store import Answers
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


class GivenAnswers(Answers):
    """Stands in the place of an endpoint's cache, and lets no call through.

    Args:
        missing: Gets a sentence for each answer that is not there.
        answers: By request, as JSON. Takes those that are read from stores.
        stores: The answers that a run keeps, likely ones first; none: `answers` are all
            that there are.
    """

    def __init__(
        self,
        missing: list[str],
        answers: dict[str, bytes],
        stores: Sequence[Answers] = (),
    ) -> None:
        self._missing = missing
        self._given = answers
        self._stores = stores

    def get(self, key: str, parts: Mapping[str, Any]) -> Any:
        """The answer.

        Raises:
            AnswerMissing: There is none, or another LM of the run gave another one.
        """
        text, problem = request_of(parts), "there is no answer to"
        answer = self._given.get(text)
        if self._stores:
            kept = (store.get(key, parts) for store in self._stores)
            stored = next((value for value in kept if value is not None), None)
            answer = None if stored is None else orjson.dumps(stored)
        if answer is not None and self._given.setdefault(text, answer) != answer:
            answer, problem = None, "two LMs of one name answered differently to"
        if answer is None:
            self._missing.append(f"{problem} a request that ends in {text[-300:]!r}")
            raise AnswerMissing(self._missing[-1])
        return orjson.loads(answer)


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
