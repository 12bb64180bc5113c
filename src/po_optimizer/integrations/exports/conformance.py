"""Is what an export renders, byte for byte, what DSPy sends?"""

from typing import Any

import dspy

from po_optimizer.errors import ArtifactError
from po_optimizer.integrations.exports.template import (
    AdapterName,
    Render,
    sent_by_dspy,
    text_of,
)
from po_optimizer.persistence.codec.values import FAILURES
from po_optimizer.persistence.scripted_answers import value_of

N_INPUTS = 20

_TEXTS = (
    "one plain line",
    "",
    " spaces at both ends ",
    "two\nlines\n",
    "\r\nother line ends\r",
    "{{ question }} {% raw %} {# note #} {x} {{{ }}} {",
    "{% endraw %}{{ 7 * 7 }}",
    "${HOME} $var %s %(name)s {{ env.HOME }}{{env['PATH'] | upper}}",
    '{"a": [1, {"b": "c"}]}',
    "quotes \" and ' and ` and \\ and \\n",
    '<tag attribute="x">&amp; & ]]></tag>',
    "[[ ## completed ## ]]",
    "Grüße, naïve, 日本語, العربية",
    "emoji 😀👩‍👩‍👧 and \u2028 separators",
    "file:///etc/hostname",
    "tab\tand \x0b vertical",
    "null",
    "007",
    "- a list\n- in Markdown\n\n```python\nx = 1\n```",
    "a long one " * 200,
)


def probe_inputs(predictor: dspy.Predict) -> list[dict[str, Any]]:
    """Inputs to compare with: those of the demos, then awkward ones of each type."""
    fields = predictor.signature.input_fields
    inputs = [
        {name: demo[name] for name in fields}
        for demo in predictor.demos[:5]
        if all(name in demo for name in fields)
    ]
    for i in range(N_INPUTS - len(inputs)):
        texts = {n: _TEXTS[(i + j) % len(_TEXTS)] for j, n in enumerate(fields)}
        inputs.append({n: _value(fields[n].annotation, texts[n]) for n in fields})
    return inputs


def _value(annotation: Any, text: str) -> Any:
    try:
        return value_of(annotation, text)
    except FAILURES:  # DSPy takes any value: a text will do
        return text


def check_export(
    name: str, predictor: dspy.Predict, adapter: AdapterName, render: Render
) -> int:
    """Compares an export with DSPy; gives the number of inputs that were compared.

    Args:
        name: Of the predictor.
        predictor: What DSPy calls.
        adapter: Between the two and the LM.
        render: The export's way from texts to messages.

    Raises:
        ArtifactError: The messages differ.
    """
    inputs = probe_inputs(predictor)
    fields = predictor.signature.input_fields
    for number, values in enumerate(inputs, start=1):
        texts = {field: text_of(fields[field], v) for field, v in values.items()}
        if render(texts) != sent_by_dspy(predictor, adapter, values):
            raise ArtifactError(
                f"predictor={name!r} was not exported: for input {number} of "
                f"{len(inputs)} the export renders other messages than DSPy does. "
                "Choose another target: --to messages is the plainest."
            )
    return len(inputs)
