"""How many programs a testset has judged, and what that leaves for the next one.

If one program after another is judged on the same examples, a lucky one is promoted
sooner or later. So the k-th different program is judged at alpha / k^3: two-sided
tests of all of them together promote without a true difference at most
zeta(3) / 2 = 0.60 times alpha. The rest is for differences that are not symmetric,
where a test is not exact: alpha / k^2 promotes up to 6 % there (docs/guarantees.md).
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from po_optimizer.params.base import Result
from po_optimizer.params.evaluate import PromotionParams


class Judgement(Result):
    """What promotion of this program needs on this testset.

    Attributes:
        place: The program is the place-th different one that the testset judges.
        among: Programs judged together, of which one is picked; they share the
            places from `place` on.
        alpha: The two-sided p-value that promotes at most.
    """

    place: int = Field(default=1, ge=1)
    among: int = Field(default=1, ge=1)
    alpha: float

    @classmethod
    def at(cls, place: int, among: int, alpha: float) -> "Judgement":
        """The judgement of so many programs together, from this place on."""
        places = range(place, place + among)
        shared = sum(alpha / k**3 for k in places) / among
        return cls(place=place, among=among, alpha=shared)


_Key = tuple[str, str, str]


class _Judged(Result):
    """A line of the record: this program on this LM was judged on this testset.

    `scores` is a digest of all that it and the baseline got; "" in records of before.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    testset: str
    program: str
    lm: str
    scores: str = ""
    run: str
    among: int = Field(default=1, ge=1)

    @property
    def key(self) -> _Key:
        return self.program, self.lm, self.scores


class JudgedPrograms:
    """An append-only file of every program that was judged on a testset.

    A line is appended before the file is read: two runs at the same time each see
    the same order, and need no lock.

    Args:
        path: JSON Lines; made with its folder when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def judge(
        self,
        testset: str,
        program: Mapping[str, str],
        lm: str,
        params: PromotionParams,
        *,
        scores: str,
        run: str,
        spends: bool = True,
    ) -> Judgement:
        """Records the program, and says at which alpha it is judged.

        A program that was judged before keeps its place: to repeat it costs nothing,
        unless its scores are others now, by a metric or an LM that varies: chance had
        one try more.

        Args:
            testset: Hash of the testset's records.
            program: The program's fingerprint.
            lm: Slug of the LM that ran it.
            scores: Digest of the scores that decide.
            params: `confidence`, and `num_compared` programs that are judged together.
            run: What the programs judged together share.
            spends: False: it cannot be promoted, so it takes no place.
        """
        text = json.dumps(dict(program), sort_keys=True)
        line = _Judged(
            testset=testset,
            program=sha256(text.encode()).hexdigest(),
            lm=lm,
            scores=scores,
            run=run,
            among=params.num_compared,
        )
        earlier = _places(self._lines(testset))
        if (line.program, lm, "") in earlier:
            line = line.model_copy(update={"scores": ""})
        if spends and line.key not in earlier:
            self._append(line)
        place, among = _places([*self._lines(testset), line])[line.key]
        return Judgement.at(place, among, params.alpha)

    def _lines(self, testset: str) -> list[_Judged]:
        """The testset's lines; one that a kill cut short judged nothing."""
        lines = []
        text = self._path.read_text("utf-8") if self._path.is_file() else ""
        for written in text.splitlines():
            try:
                line = _Judged.model_validate_json(written)
            except ValidationError:
                continue
            if line.testset == testset:
                lines.append(line)
        return lines

    def _append(self, line: _Judged) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # the first break ends a line that a kill cut short
            file.write(f"\n{line.model_dump_json()}\n")
            file.flush()
            os.fsync(file.fileno())


def _places(lines: list[_Judged]) -> dict[_Key, tuple[int, int]]:
    """Each program's place and how many share it, in the order of the lines.

    The programs of one run that were compared share the places that the first of
    them took.
    """
    places: dict[_Key, tuple[int, int]] = {}
    shared: dict[tuple[str, int], tuple[int, int]] = {}  # place, programs in it
    free = 1
    for line in lines:
        if line.key in places:
            continue
        group = (line.run, line.among)
        place, taken = shared.get(group, (free, line.among))
        if taken >= line.among:
            place, taken, free = free, 0, free + line.among
        shared[group] = (place, taken + 1)
        places[line.key] = (place, line.among)
    return places
