"""Ordinary programs as people write them, by theme, each with what it is asked.

Nothing here imports by the package's own name: the same files are loaded under
another name, too, as the code of somebody who moved it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

THEMES = (
    *("arguments", "attributes", "tools", "models", "fields", "names"),
    *("structure", "demos", "shapes"),
)

Needs = Literal["data", "class", "donor", "donor at once", "more"]
"""What makes it whole again: the document alone, its class, a donor (at once: not after
it was saved again without one), or more yet."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A program and what it is asked.

    Attributes:
        make: Makes the program, the same every time.
        asks: Keyword arguments of each call.
        answers: What the LM says for an output field; a tuple is said in turn. Any
            other field gets a word made from the request.
        needs: What has to be at hand for it to be the same after loading.
        donor: Makes the donor; None for `make`.
        lms: LMs by name, for loading.
        learned: Whether its instructions are changed before it is saved, as an
            optimizer would.
    """

    make: Callable[[], Any]
    asks: Sequence[Mapping[str, Any]] = ({"question": "why?"},)
    answers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: Needs = "class"
    donor: Callable[[], Any] | None = None
    lms: Callable[[], dict[str, Any]] | None = None
    learned: bool = True
