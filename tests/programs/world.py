"""The small world that all programs here are asked about: messages of customers."""

from typing import Any

import dspy

CITIES = ("Bern", "Graz", "Lyon", "Oslo", "Porto", "Riga", "Turin", "Ulm", "Vigo")
PEOPLE = ("Anna Berg", "Ben Amara", "Cleo Sand", "Dora Lind", "Emil Roth")
ITEMS = ("lamp", "chair", "table", "shelf", "rug", "clock")
CATEGORIES = ("order", "complaint", "question")
URGENCIES = ("low", "medium", "high")
N = 18


def facts(number: int) -> dict[str, Any]:
    """What a careful reader finds in a message."""
    first, second = ITEMS[number % 6], ITEMS[(number * 5 + 1) % 6]
    return {
        "key": f"K{number:02}",
        "person": PEOPLE[number % 5],
        "city": CITIES[number % 9],
        "items": sorted({first, second}),
        "count": 2 + number % 4,
        "amount": 10.0 + number * 2.5,
        "category": CATEGORIES[number % 3],
        "urgency": URGENCIES[(number // 3) % 3],
        "urgent": (number // 3) % 3 == 2,
    }


def _labels(number: int) -> dict[str, Any]:
    known = facts(number)
    return {**known, "whole": known}


def message(number: int) -> str:
    """The message itself; its key tells the LM of the tests which it is."""
    f = facts(number)
    return (
        f"Message {f['key']}: {f['person']} from {f['city']} writes a {f['category']} "
        f"about {f['count']} pieces, {' and '.join(f['items'])}, for "
        f"{f['amount']} euro; it matters {f['urgency']}."
    )


def examples(numbers: range, **labels: str) -> list[dspy.Example]:
    """Examples of the field `message` with the facts as labels, under other names."""
    made = []
    for number in numbers:
        known = _labels(number)
        values = {name: known[fact] for name, fact in labels.items()}
        made.append(dspy.Example(message=message(number), **values))
    return [example.with_inputs("message") for example in made]


def truth() -> dict[str, dict[str, Any]]:
    """By a message's key, the right value of each output field that asks for one."""
    return {known["key"]: _fields(known) for known in map(facts, range(N))}


def _fields(known: dict[str, Any]) -> dict[str, Any]:
    names = ("city", "person", "items", "count", "amount", "category", "urgency")
    whole = {name: known[name] for name in names}
    return {
        **whole,
        "urgent": known["urgent"],
        "answer": known["city"],
        "label": known["category"],
        "pieces": known["items"],
        "form": whole,
        "forms": [whole],
    }
