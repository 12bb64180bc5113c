"""A role is what the parameters' import paths name, or a clear error."""

import dspy
import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.lm import use_lm
from po_optimizer.params.lm import DecodingBounds
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import import_object, load_metric, make_program
from po_optimizer.roles.record import load_record_type
from tests.product_owner.records import PRODUCT_OWNER
from tests.scripted import fixed_fields, scripted_lm
from tests.small_role import Label, LabelRecord, raw_record


def weighted(example, prediction, trace=None, *, weight=1.0):
    """A metric with an argument."""
    return weight


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nothing", "no module before"),
        ("nosuch.module.Thing", "import failed"),
        ("po_optimizer.roles.Nosuch", "module po_optimizer.roles has no Nosuch"),
        ("", "no module before"),
    ],
)
def test_path_that_names_nothing_is_told(path, problem):
    """The error names the setting, the path and what is wrong."""
    with pytest.raises(SettingError, match=f"role.x={path!r}.*{problem}"):
        import_object("role.x", path)


def test_product_owner_is_a_role():
    """All three paths of its file lead somewhere."""
    role = PRODUCT_OWNER
    assert type(make_program(role)).__name__ == "ProductOwner"
    assert load_metric(role).__name__ == "product_owner_metric"
    assert load_record_type(role).__name__ == "ProductOwnerRecord"


@pytest.mark.parametrize(
    ("bounds", "program"),
    [(None, "ProductOwner"), (DecodingBounds(), "ProductOwnerInSteps")],
)
def test_program_may_look_at_the_lm(tmp_path, bounds, program):
    """The Product Owner works in steps for a small LM, whose answers are bounded."""
    role = PRODUCT_OWNER.model_copy(
        update={"program": "po_optimizer.product_owner.program.product_owner"}
    )
    lm = scripted_lm(lambda prompt: "", tmp_path, bounds=bounds)
    assert type(make_program(role, lm)).__name__ == program


def test_program_is_made_afresh():
    """Two calls give two programs: an optimizer changes one of them."""
    assert make_program(PRODUCT_OWNER) is not make_program(PRODUCT_OWNER)


@pytest.mark.parametrize("path", ["pathlib.Path", "math.pi", "os.getcwd"])
def test_program_must_be_a_module(path):
    """Another class, a number, and what a function gives that is none are refused."""
    with pytest.raises(SettingError, match=r"role.program=.*not a dspy.Module"):
        make_program(RoleParams(program=path))


class FromSettings(dspy.Module):
    """Looks for the LM while it is made, and needs one."""

    def __init__(self, temperature=0.5):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")
        self.answer.set_lm(dspy.settings.lm.copy(temperature=temperature))

    def forward(self, question):
        """The answer."""
        return self.answer(question=question)


class Asynchronous(dspy.Module):
    """Has no forward."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    async def aforward(self, question):
        """The answer."""
        return await self.answer.acall(question=question)


class Nothing(dspy.Module):
    """Has neither."""


ready_made = dspy.ChainOfThought("question -> answer")


def build(steps=1):
    """A factory."""
    return dspy.ReAct("question -> answer", tools=[], max_iters=steps)


@pytest.mark.parametrize("path", [f"{__name__}:ready_made", f"{__name__}.build"])
def test_program_may_be_an_object_or_come_of_a_function(path):
    """Each time it is a fresh one, with a colon or a dot before the name."""
    programs = [make_program(RoleParams(program=path)) for _ in range(2)]
    assert programs[0].predictors()[0] is not programs[1].predictors()[0]
    assert programs[0].predictors()[0] is not ready_made.predictors()[0]


def test_arguments_reach_the_factory():
    """`role.program_args` are what the function is called with."""
    role = RoleParams(program=f"{__name__}:build", program_args={"steps": 7})
    assert make_program(role).max_iters == 7


def test_an_object_takes_no_arguments():
    """What is made already cannot be made with arguments."""
    role = RoleParams(program=f"{__name__}:ready_made", program_args={"n": 1})
    with pytest.raises(SettingError, match=r"role.program_args=.*a program already"):
        make_program(role)


def test_program_sees_the_lm_while_it_is_made(tmp_path):
    """A constructor finds in dspy.settings.lm the LM that answers."""
    lm = scripted_lm(fixed_fields(answer="x"), tmp_path)
    role = RoleParams(program=f"{__name__}.FromSettings")
    assert make_program(role, lm).answer.lm.kwargs["temperature"] == 0.5
    with pytest.raises(SettingError, match="making it raised AttributeError"):
        make_program(role)


def test_asynchronous_program_is_called_as_others_are(tmp_path):
    """A program with `aforward` alone answers a plain call, metered like any other."""
    lm = scripted_lm(fixed_fields(answer="x"), tmp_path)
    program = make_program(RoleParams(program=f"{__name__}.Asynchronous"), lm)
    with use_lm(lm, stage="evaluate"):
        assert program(question="?").answer == "x"
    assert lm.meter.ledger.totals(stage="evaluate").paid == 1


def test_program_without_forward_is_told():
    """There is nothing to call."""
    with pytest.raises(SettingError, match="no forward to call"):
        make_program(RoleParams(program=f"{__name__}.Nothing"))


def test_arguments_that_the_program_refuses_are_told():
    """The error names role.program_args."""
    role = RoleParams(program="tests.small_role.Labeler", program_args={"nosuch": 1})
    with pytest.raises(SettingError, match=r"role.program_args=.*Labeler refuses"):
        make_program(role)


def test_metric_arguments_are_bound():
    """`role.metric_args` reach every call; the metric keeps its name."""
    metric = load_metric(
        RoleParams(metric=f"{__name__}.weighted", metric_args={"weight": 0.25})
    )
    assert metric(None, None) == 0.25
    assert metric.__name__ == "weighted"


def test_metric_must_be_callable():
    """A module's constant is no metric."""
    with pytest.raises(SettingError, match="not callable"):
        load_metric(RoleParams(metric="math.pi"))


def test_record_type_must_have_its_methods():
    """The error lists what is missing."""
    role = RoleParams(record="po_optimizer.params.project.RoleParams")
    with pytest.raises(SettingError, match="lacks to_example"):
        load_record_type(role)


def length_of_yaml(example, prediction, trace=None):
    """A metric that takes documents as texts, as scripts often do."""
    assert example.label.startswith("product: ")
    return float("product: Item1" in prediction.label)


def test_metric_may_read_documents_as_texts():
    """Models of example and prediction are YAML to it; anything else stays."""
    path = "tests.roles.test_build:length_of_yaml"
    metric = load_metric(RoleParams(metric=path, metric_reads="yaml"))
    example = LabelRecord.model_validate(raw_record(1)).to_example()
    prediction = dspy.Prediction(label=example.label)
    assert metric(example, prediction, None) == 1.0
    assert metric.__name__ == "length_of_yaml"
    assert isinstance(example.label, Label)
