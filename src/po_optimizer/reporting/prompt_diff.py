"""The prompt before and after, readable: instructions and demos of each predictor."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from textwrap import shorten
from typing import Any

import dspy
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from po_optimizer.evaluation.predictions import json_ready
from po_optimizer.lms.visible import visible
from po_optimizer.params.base import Result

_SHOWN = 70  # characters of a text in a line
_MOST_ON_PAGE = 10_000  # characters of a text on a page
ALIKE = 0.5  # below it a word-by-word diff is confetti: both texts are shown whole


class DemoChange(Result):
    """One demo: kept, added or removed; its fields as text."""

    change: str
    origin: str
    fields: dict[str, str]


class PredictorChange(Result):
    """One predictor's prompt before and after; `diff` is None if it was rewritten."""

    name: str
    before: str
    after: str
    diff: str | None
    demos: list[DemoChange]
    n_before: int
    n_after: int


def prompt_diff_html(changes: Sequence[PredictorChange]) -> str:
    """The changes as a page of its own; a report shows its body (`body_of`).

    All text of programs is escaped: demos and instructions come from LMs.
    """
    template = environment().get_template("prompt_diff.html.j2")
    return template.render(predictors=changes, changed=describe_changes(changes))


def describe_changes(changes: Sequence[PredictorChange]) -> str:
    """What changed of all prompts, in a sentence."""
    n, rewritten = (
        len(changes),
        sum(change.before != change.after for change in changes),
    )
    of = f" of {n} predictors" if n > 1 else ""
    words = {0: "The instructions are the same"}.get(
        rewritten, f"New instructions{f' in {rewritten}{of}' if of else ''}"
    )
    demos = Counter(demo.change for change in changes for demo in change.demos)
    parts = [
        f"{demos[kind]} demo{'s' * (demos[kind] > 1)} {kind}"
        for kind in ("added", "removed")
        if demos[kind]
    ]
    return f"{', '.join([words, *(parts or ['no other demos'])])}."


def body_of(page: str) -> Markup:
    """The body of a prompt page, whose text is escaped already."""
    match = re.search(r"<!-- prompts -->(.*)<!-- end -->", page, re.DOTALL)
    return Markup(match[1] if match else page)  # noqa: S704 (from our template)


def change_of(page: str) -> Markup:
    """The sentence on what changed, of a prompt page."""
    match = re.search(r'<p class="changed">(.*?)</p>', page, re.DOTALL)
    return Markup(match[1] if match else "")  # noqa: S704 (from our template)


def prompt_changes(before: dspy.Module, after: dspy.Module) -> list[PredictorChange]:
    """What changed, per predictor, in the optimized program's order."""
    earlier = dict(before.named_predictors())
    changes = [
        _change(name, earlier.get(name), p) for name, p in after.named_predictors()
    ]
    kept = {change.name for change in changes}
    gone = [_change(name, p, None) for name, p in earlier.items() if name not in kept]
    return [*changes, *gone]


def change_lines(changes: Sequence[PredictorChange]) -> Iterator[str]:
    """The sentence, then `-` for a text that went and `+` for one that came."""
    yield describe_changes(changes)
    for change in changes:
        if change.before != change.after:
            yield f"- {_begin(change.before)}"
            yield f"+ {_begin(change.after)}"
        for demo in change.demos:
            fields = (f"{name}: {_begin(text)}" for name, text in demo.fields.items())
            if demo.change != "kept":
                yield f"{'+' if demo.change == 'added' else '-'} {' | '.join(fields)}"


def _begin(text: str) -> str:
    """The first words of a text, in one line."""
    return shorten(text, _SHOWN, placeholder=" ...")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja for all templates; it escapes HTML and control characters."""
    loader = PackageLoader("po_optimizer.reporting", "templates")
    templates = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: _on_page(value) if type(value) is str else value,
    )
    templates.filters["readable"] = readable
    style = (files("po_optimizer.reporting") / "templates/report.css").read_text(
        "utf-8"
    )
    templates.globals["style"] = Markup(style)  # noqa: S704 (a file of this package)
    return templates


def _on_page(text: str) -> str:
    """The text without control characters, cut: a page of megabytes opens slowly."""
    more = len(text) - _MOST_ON_PAGE
    excerpt = visible(text[:_MOST_ON_PAGE])
    return excerpt if more <= 0 else f"{excerpt} ... ({more:,} more characters)"


def readable(value: Any) -> str:
    """A JSON-ready value as people read it: text as it is, structures as YAML."""
    if isinstance(value, str):
        return value
    # the page wraps the lines
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").rstrip()


def _change(name: str, before: Any, after: Any) -> PredictorChange:
    texts = [p.signature.instructions if p else "" for p in (before, after)]
    sides = (before, after)
    demos = [
        [_part_in_prompt(d, p.signature) for d in p.demos] if p else [] for p in sides
    ]
    keys = [{_key(fields) for fields, _ in side} for side in demos]
    changes = [
        DemoChange(
            change="kept" if _key(fields) in keys[0] else "added",
            origin=origin,
            fields=fields,
        )
        for fields, origin in demos[1]
    ]
    changes += [
        DemoChange(change="removed", origin=origin, fields=fields)
        for fields, origin in demos[0]
        if _key(fields) not in keys[1]
    ]
    return PredictorChange(
        name=name,
        before=texts[0],
        after=texts[1],
        diff=_word_diff(*texts),
        demos=changes,
        n_before=len(demos[0]),
        n_after=len(demos[1]),
    )


def _word_diff(before: str, after: str) -> str | None:
    # of words alone: the spaces between them are always alike
    if _matcher(before.split(), after.split()).ratio() < ALIKE:
        return None
    old_words, new_words = (re.findall(r"\s+|\S+", text) for text in (before, after))
    matcher = _matcher(old_words, new_words)
    parts: list[Markup] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        old, new = "".join(old_words[a:b]), "".join(new_words[c:d])
        if tag == "equal":
            parts.append(escape(old))
            continue
        parts += [Markup("<del>{}</del>").format(old)] if old else []
        parts += [Markup("<ins>{}</ins>").format(new)] if new else []
    return Markup("").join(parts)


def _matcher(old: list[str], new: list[str]) -> difflib.SequenceMatcher[str]:
    return difflib.SequenceMatcher(None, old, new, autojunk=False)


def _part_in_prompt(demo: Any, signature: Any) -> tuple[dict[str, str], str]:
    """What of a demo stands in the prompt, and where the demo comes from."""
    values: Mapping[str, Any] = demo.toDict() if hasattr(demo, "toDict") else demo
    origin = "bootstrapped" if values.get("augmented") else "labeled"
    values_in_prompt = {
        name: values[name] for name in signature.fields if name in values
    }
    return {
        name: readable(value) for name, value in json_ready(values_in_prompt).items()
    }, origin


def _key(fields: Mapping[str, str]) -> str:
    return json.dumps(fields, sort_keys=True)
