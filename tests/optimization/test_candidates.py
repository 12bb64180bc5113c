import dspy

from po_optimizer.optimization.candidates import CandidateIndex, candidate_key
from tests.optimization import world


def changed(instructions=None, demos=()):
    """The student with other instructions and demos."""
    program = world.student()
    if instructions:
        program.signature = program.signature.with_instructions(instructions)
    program.demos = list(demos)
    return program


def test_the_student_is_number_0():
    """Instruction 0 and demo set 0 are the student's own."""
    index = CandidateIndex(world.student())
    assert index.describe(world.student()) == ([0], [0])


def test_named_lists_decide_the_numbers():
    """An optimizer's own lists give the numbers, whatever is drawn first."""
    index = CandidateIndex(world.student())
    demo = dspy.Example(question="q", answer="1")
    index.name_instructions(0, ["own", "a", "b"])
    index.name_demo_sets(0, [[], [demo]])
    assert index.describe(changed("b", [demo])) == ([2], [1])


def test_what_nobody_named_is_numbered_when_seen():
    """New instructions and demo sets get the next number and keep it."""
    index = CandidateIndex(world.student())
    assert index.describe(changed("new")) == ([1], [0])
    assert index.describe(changed("newer")) == ([2], [0])
    assert index.describe(changed("new")) == ([1], [0])


def test_the_key_of_a_copy_is_the_same():
    """Also if a demo holds an object that Python shows by its address."""
    plain = type("Plain", (), {})()
    program = changed("x", [dspy.Example(question="q", answer=plain)])
    assert candidate_key(program) == candidate_key(program.deepcopy())


def test_the_key_tells_demos_and_instructions():
    """Equal content gives equal keys, any difference another one."""
    demo = dspy.Example(question="q", answer="1")
    assert candidate_key(changed("x", [demo])) == candidate_key(changed("x", [demo]))
    assert candidate_key(changed("x", [demo])) != candidate_key(changed("x"))
    assert candidate_key(changed("x")) != candidate_key(changed("y"))
