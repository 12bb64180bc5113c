"""The language of a text, as far as its small words and its letters tell."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+")
MIN_SMALL_WORDS = 2  # fewer tell no language
CLEAR_LEAD = 1.5  # times as many small words as of the next language
_SMALL_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "English": """
            a an the of and with is are that for who to without they their which what
            from we our it by when in on no can be or how has have not as within into
            than but so if at its
        """,
        "Spanish": """
            a el la los las de y con es son que para sin su sus un una del por se
            quien al en no lo o como cada qué más han hay nos cuando
        """,
        "French": """
            a le la les de des et avec est sont qui pour sans leur un une du dans nous
            au aux il elle ne en par se ce ou où pas que sur quand
        """,
        "German": """
            der die das und mit ist sind für ohne ein eine von zu den dem nicht wir
            wer sich auf im in oder einen einer werden wird es als zum zur an
        """,
        "Italian": """
            a il lo la gli le di e con è sono che per senza della dei un una nel chi
            non del alla si ogni in da al o quando ci i
        """,
        "Portuguese": """
            a o os as de e com é são que para sem um uma do da dos das não em quem no
            na por ou se cada ao mais quando
        """,
        "Dutch": """
            het een van en met zijn dat voor zonder wie niet op te wij hun de er aan
            bij wordt in of is die naar om als ons
        """,
    }.items()
}


def is_small(word: str) -> bool:
    """Whether a word only links others, in one of these languages."""
    return any(word.lower() in words for words in _SMALL_WORDS.values())


def language_of(texts: Iterable[str]) -> str | None:
    """The language that texts are written in; None: they do not tell.

    Of another script than Latin its name is given, in capitals as Unicode has it.
    """
    words = _WORD.findall(" ".join(texts).lower())
    script = _script(words)
    if script != "LATIN":
        return script
    counts = Counter(words)
    small = {
        name: sum(counts[word] for word in theirs)
        for name, theirs in _SMALL_WORDS.items()
    }
    (first, most), (_, second) = Counter(small).most_common(2)
    if most < MIN_SMALL_WORDS or most < CLEAR_LEAD * second:
        return None
    return first


def _script(words: Iterable[str]) -> str | None:
    letters = "".join(words)
    scripts = Counter(unicodedata.name(letter, "?").split()[0] for letter in letters)
    return scripts.most_common(1)[0][0] if scripts else None
