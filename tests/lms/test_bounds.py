"""Bounds tighten the schema of a request and never loosen it or make it impossible."""

import copy
from types import SimpleNamespace

import pytest
from dspy.lm15 import Config, Message, Request, TextPart
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from po_optimizer.lms.engine import ProviderEngine, bound_schema
from po_optimizer.params.lm import DecodingBounds, LMParams
from tests.scripted import given_provider

BOUNDS = DecodingBounds(items=3, item_characters=60, text_characters=200)
LIMITS = st.integers(0, 500)


def limited(kind, least, most):
    """A schema with optional bounds of its own."""
    keys = st.fixed_dictionaries(
        {"type": st.just(kind)}, optional={least: LIMITS, most: LIMITS}
    )
    ordered = {least, most}
    return keys.filter(lambda s: ordered - set(s) or s[least] <= s[most])


STRINGS = limited("string", "minLength", "maxLength")
LEAVES = st.one_of(
    STRINGS,
    st.just({"type": "integer"}),
    st.just({"type": "string", "enum": ["a" * 300, "b"]}),
    st.just({"$ref": "#/$defs/Other"}),
)
NAMES = st.sampled_from(["items", "type", "title", "maxLength", "text"])


def schemas():
    """Nested JSON schemas of objects, lists, unions and leaves."""
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.builds(
                lambda base, items: {**base, "items": items},
                limited("array", "minItems", "maxItems"),
                inner,
            ),
            st.builds(
                lambda fields: {"type": "object", "properties": fields},
                st.dictionaries(NAMES, inner, max_size=3),
            ),
            st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, max_size=3)),
        ),
        max_leaves=8,
    )


def pairs(before, after):
    """Every sub-schema with what became of it."""
    yield before, after
    if "items" in before:
        yield from pairs(before["items"], after["items"])
    for name in before.get("properties", ()):
        yield from pairs(before["properties"][name], after["properties"][name])
    for one, other in zip(before.get("anyOf", ()), after.get("anyOf", ()), strict=True):
        yield from pairs(one, other)


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_no_bound_is_loosened(schema):
    """Every limit of the schema itself holds afterwards too."""
    for before, after in pairs(schema, bound_schema(schema, BOUNDS)):
        for most in ("maxItems", "maxLength"):
            if isinstance(before.get(most), int):
                assert after[most] <= before[most]


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_every_list_and_free_string_ends(schema):
    """No list or string stays without an upper limit, save the enumerated ones."""
    for before, after in pairs(schema, bound_schema(schema, BOUNDS)):
        if before.get("type") == "array":
            assert after["maxItems"] <= max(BOUNDS.items, before.get("minItems", 0))
        if before.get("type") == "string" and "enum" not in before:
            least = before.get("minLength", 0)
            assert after["maxLength"] <= max(BOUNDS.text_characters, least)


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_no_schema_becomes_impossible(schema):
    """A lower limit of the schema's own wins over the bound."""
    for _, after in pairs(schema, bound_schema(schema, BOUNDS)):
        for least, most in (("minItems", "maxItems"), ("minLength", "maxLength")):
            if isinstance(after.get(most), int):
                assert after[most] >= after.get(least, 0)


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_only_upper_limits_are_added(schema):
    """Nothing else of the schema changes, and the schema itself is left alone."""
    untouched = copy.deepcopy(schema)
    for before, after in pairs(schema, bound_schema(schema, BOUNDS)):
        assert set(after) - set(before) <= {"maxItems", "maxLength"}
    assert schema == untouched


def test_strings_in_lists_are_shorter_than_texts():
    """A list's entry is bounded by item_characters, any other string by the text's."""
    text = {"type": "string"}
    schema = {"type": "array", "items": text}
    assert bound_schema(schema, BOUNDS)["items"]["maxLength"] == 60
    assert bound_schema(text, BOUNDS)["maxLength"] == 200


def test_field_that_is_called_items_is_a_text():
    """A property's name is no JSON schema keyword."""
    schema = {"type": "object", "properties": {"items": {"type": "string"}}}
    bounded = bound_schema(schema, BOUNDS)
    assert bounded["properties"]["items"]["maxLength"] == 200


@pytest.mark.parametrize("key", ["const", "enum", "default", "examples"])
def test_values_in_a_schema_are_no_schemas(key):
    """What looks like a schema inside a value stays as it is."""
    value = [{"type": "string"}] if key in {"enum", "examples"} else {"type": "array"}
    assert bound_schema({key: value}, BOUNDS) == {key: value}


@pytest.mark.parametrize("kind", ["enum", "const", "format"])
def test_strings_with_a_form_of_their_own_are_left_alone(kind):
    """An enumerated, constant or formatted string has its end already."""
    schema = {"type": "string", kind: "date"}
    assert bound_schema(schema, BOUNDS) == schema


def test_pydantic_models_are_bounded_throughout():
    """Definitions that are referred to are bounded as well."""

    class Part(BaseModel):
        tags: list[str]

    class Whole(BaseModel):
        parts: list[Part] = Field(max_length=2)
        note: str | None = None

    bounded = bound_schema(Whole.model_json_schema(), BOUNDS)
    assert bounded["$defs"]["Part"]["properties"]["tags"]["maxItems"] == 3
    assert bounded["properties"]["parts"]["maxItems"] == 2
    assert bounded["properties"]["note"]["anyOf"][0]["maxLength"] == 200


class Listening:
    """Keeps the request."""

    def complete(self, request):
        """What it was asked, beside an answer."""
        message = Message(role="assistant", parts=(TextPart(text="hello"),))
        return SimpleNamespace(
            message=message, config=request.config, model="m", finish_reason="stop"
        )


def requested(wanted):
    """The response format that reaches the inner engine."""
    message = Message(role="user", parts=(TextPart(text="hello"),))
    config = Config(response_format=wanted, max_tokens=7)
    request = Request(model="m", messages=(message,), config=config)
    engine = ProviderEngine(given_provider(LMParams(bounds=BOUNDS), Listening()))
    asked = engine.complete(request)
    assert asked.config.max_tokens == 7
    assert request.config.response_format == wanted
    return asked.config.response_format


def test_engine_bounds_the_schema_of_the_request():
    """The server is sent the bounded schema, everything else as it was."""
    wanted = {"type": "json_schema", "name": "N", "schema": {"type": "string"}}
    bounded = {"type": "string", "maxLength": 200}
    assert requested(wanted) == {**wanted, "schema": bounded}


@pytest.mark.parametrize("wanted", [None, {"type": "json_object"}])
def test_request_without_a_schema_passes_as_it_is(wanted):
    """There is nothing to bound."""
    assert requested(wanted) == wanted
