"""Equal values are known again, whatever they are made of."""

from dspy.primitives.repl_types import REPLHistory

from po_optimizer.records.canonical import canonical


def test_a_model_that_iterates_otherwise_is_known_by_its_fields():
    """As the history of dspy.RLM, which stands in its bootstrapped demos."""
    empty = REPLHistory()
    first, same, other = (empty.append(code=code, output="1") for code in "aab")
    assert canonical(first) == canonical(same) != canonical(other)
