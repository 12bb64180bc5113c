"""Parameters are typed, frozen and refuse what they do not know."""

import pytest
from pydantic import BaseModel, ValidationError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.params.base import Params, checked
from po_optimizer.params.evaluate import FailBelow, PromotionOverride, PromotionParams
from po_optimizer.params.lm import EmbeddedParams, LMParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import (
    DataPrepParams,
    FeaturesParams,
    Parameters,
    SplitSizes,
)


def models(base=Params):
    """Every model of parameters that has a default for each."""
    for model in base.__subclasses__():
        if all(not field.is_required() for field in model.model_fields.values()):
            yield model
        yield from models(model)


MODELS = [*models()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_unknown_key_is_refused(model):
    """A typo is an error and not a silent default."""
    with pytest.raises(ValidationError, match="not known"):
        model(nosuch=1)


@pytest.mark.parametrize("model", MODELS[1:], ids=lambda model: model.__name__)
def test_parameters_are_frozen(model):
    """A node cannot change what the next one reads."""
    name = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model(), name, None)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_defaults_are_valid(model):
    """What stands in the code passes its own checks."""
    assert isinstance(model.model_validate(model().model_dump()), BaseModel)


@pytest.mark.parametrize("word", ["1", "true", "YES", " on ", True])
def test_switch_is_turned_on_by_the_usual_words(word):
    """USE_DSPY_PO is written by people and scripts."""
    assert FeaturesParams(use_dspy_product_owner=word).use_dspy_product_owner


@pytest.mark.parametrize("word", ["0", "false", "No", "off", False])
def test_switch_is_turned_off_by_the_usual_words(word):
    """Off is off in each of its spellings."""
    features = FeaturesParams(use_dspy_product_owner=word)
    assert not features.use_dspy_product_owner


@pytest.mark.parametrize("word", ["", "maybe", "2", None, 0.5])
def test_other_words_are_no_switch(word):
    """The error lists the words."""
    with pytest.raises(ValidationError, match="1/true/yes/on or 0/false/no/off"):
        FeaturesParams(use_dspy_product_owner=word)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (LMParams, {"temperature": 2.1}),
        (LMParams, {"max_tokens": 0}),
        (LMParams, {"adapter": "nosuch"}),
        (SplitSizes, {"test": 0}),
        (DataPrepParams, {"near_duplicate_similarity": 1.1}),
        (OptimizeParams, {"floor_usable": -0.1}),
        (PromotionParams, {"num_resamples": 999}),
        (PromotionParams, {"confidence": 1.0}),
        (FailBelow, {"uplift": -1.1}),
        (EmbeddedParams, {"port": 65536}),
    ],
)
def test_value_out_of_range_is_refused(model, wrong):
    """Every number has its range."""
    with pytest.raises(ValidationError):
        model(**wrong)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"optimize": {"miprov2": {"num_trails": 3}}},
            r"trails: not known \(did",
        ),
        ({"data_prep": {"x": 1}}, r"data_prep\.x: not known \(known: sizes, "),
        ({"evaluate": 3}, r"evaluate: it is a group of parameters \(repeats, "),
        ({"sweep": {"configurations": 3}}, r"sweep\.configurations: Input should be a"),
        ({"lm": "ollama"}, r"lm: .*name one, as in --params lm\.model="),
    ],
)
def test_root_names_the_parameter_that_is_wrong(values, told):
    """By its whole path, with the known names or the one that was meant."""
    with pytest.raises(PoOptimizerError, match=told):
        checked(Parameters, values)


def test_root_leaves_the_projects_own_names():
    """A project that adds a pipeline has parameters of its own."""
    values = {"mine": {"depth": 1}, "lm": None, "concept": 42}
    parameters = checked(Parameters, values)
    assert parameters.model_extra == {"mine": {"depth": 1}}
    assert (parameters.lm, parameters.concept) == ({}, "42")


def test_override_says_who_and_why():
    """A decision by hand is recorded with both."""
    with pytest.raises(ValidationError):
        PromotionOverride(decision="promote", by="", reason="because")
