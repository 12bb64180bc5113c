"""A role is what the parameters' import paths name, or a clear error."""

import pytest

from po_optimizer.errors import ImportPathError, SettingError
from po_optimizer.params import RoleParams
from po_optimizer.roles import (
    bind_metric,
    import_object,
    load_metric,
    load_record_type,
    make_program,
)


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
    with pytest.raises(ImportPathError, match=f"role.x={path!r}.*{problem}"):
        import_object("role.x", path)


def test_default_role_is_the_product_owner():
    """All three paths of the defaults lead somewhere."""
    role = RoleParams()
    assert type(make_program(role)).__name__ == "ProductOwner"
    assert load_metric(role).__name__ == "product_owner_metric"
    assert load_record_type(role).__name__ == "ProductOwnerRecord"


def test_program_is_made_afresh():
    """Two calls give two programs: an optimizer changes one of them."""
    assert make_program(RoleParams()) is not make_program(RoleParams())


@pytest.mark.parametrize("path", ["json.dumps", "pathlib.Path"])
def test_program_must_be_a_module_class(path):
    """Another class or a function is refused before it is called."""
    with pytest.raises(ImportPathError, match=r"role.program=.*not a dspy.Module"):
        make_program(RoleParams(program=path))


def test_arguments_that_the_program_refuses_are_told():
    """The error names role.program_args."""
    role = RoleParams(program="tests.small_role.Labeler", program_args={"nosuch": 1})
    with pytest.raises(SettingError, match=r"role.program_args=.*Labeler refuses"):
        make_program(role)


def test_metric_arguments_are_bound():
    """`role.metric_args` reach every call; the metric keeps its name."""
    metric = bind_metric("tests.test_roles.weighted", {"weight": 0.25})
    assert metric(None, None) == 0.25
    assert metric.__name__ == "weighted"


def test_metric_must_be_callable():
    """A module's constant is no metric."""
    with pytest.raises(ImportPathError, match="not callable"):
        bind_metric("math.pi", {})


def test_record_type_must_have_its_methods():
    """The error lists what is missing."""
    role = RoleParams(record="po_optimizer.params.RoleParams")
    with pytest.raises(ImportPathError, match="lacks to_example, stratum, identity"):
        load_record_type(role)
