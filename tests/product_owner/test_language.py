"""Language: told by small words and letters, or not at all."""

import pytest

from po_optimizer.product_owner.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A planner for repair cafes", "English"),
        ("Un planificador para cafés de reparación", "Spanish"),
        ("Un carnet de chant pour les chorales du village", "French"),
        ("Ein Plan für die Werkstatt im Dorf, ohne Anmeldung", "German"),
        ("Un registro per chi presta gli attrezzi della scuola", "Italian"),
        ("Um caderno para os alunos que não têm acesso", "Portuguese"),
        ("Een lijst van wie het gereedschap bij zich heeft", "Dutch"),
        ("Планировщик для ремонтных кафе", "CYRILLIC"),
        ("Planner", None),
        ("2025", None),
        ("", None),
    ],
)
def test_language_is_told_by_small_words(text, language):
    """A short text is enough if it has some; a tie tells nothing."""
    assert language_of([text]) == language
