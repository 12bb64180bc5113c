import pytest

from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.schema import Requirements


def ids_of(*ids: str) -> RequirementIds:
    """A finder for requirements of these ids."""
    listed = ", ".join(f"{{id: '{one}', description: about {one}}}" for one in ids)
    return RequirementIds(Requirements.from_yaml(f"constraints: [{listed}]"))


@pytest.mark.parametrize("written", ["FR001", "FR-01", "fr_1", "FR 1", "(FR-001)"])
@pytest.mark.parametrize("known", ["FR001", "FR-01", "FR-1"])
def test_styles_of_an_id_meet(known: str, written: str) -> None:
    """Letter case, separator and leading zeros do not matter; our spelling returns."""
    assert ids_of(known).named_in([f"See {written}, please"]) == {known}


@pytest.mark.parametrize("text", ["NFR001", "FR0012", "XFR001", "FR001a", "FR 10"])
def test_ids_are_whole(text: str) -> None:
    """An id inside a longer one is not named."""
    assert ids_of("FR001").named_in([text]) == frozenset()


def test_other_forms_are_found_as_written() -> None:
    """Numbers with points, ids without a number, and bare numbers work too."""
    ids = ids_of("REQ-F-1.2", "LOGIN", "7")
    text = "req-f-1.2 and login, not REQ-F-12; 7 but not 17"
    assert ids.named_in([text]) == {"REQ-F-1.2", "LOGIN", "7"}
    assert ids.invented_in([text]) == {"REQ-F-12"}


def test_invented_ids_are_found_by_their_prefix() -> None:
    """FR, NFR and the prefixes in use are ids; other codes in the text are not."""
    text = "FR009, NFR-3, C1, ISO27001, 21 CFR Part 11, CO2"
    assert ids_of("C001").invented_in([text]) == {"FR009", "NFR-3"}


def test_requirements_are_described() -> None:
    """Feedback gives the description of what exists, and the id of what does not."""
    described = ids_of("C001").described(["FR9", "C001"])
    assert described == 'C001 ("about C001"), FR9'
