"""What is secret: by its name, by how it looks, and within an address.

Each use has a rule of its own. A stored program keeps an attribute unless its name says
that it is a key or an address. Of an LM's arguments rather one too many is left out.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

MASK = "***"

_ATTRIBUTE = re.compile(
    r"(^|_)(api_?key|access_key(_id)?|secret|secret_key|token|session_token|password|"
    r"passwd|authorization|credentials?|private_key|api_base|base_url|endpoint|"
    r"headers|model_list)$",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(
    r"(keys?|token|secrets?|passwords?|credentials?|headers?|auth(orization)?)\d*$",
    re.IGNORECASE,
)  # at the end of a name: `tokenizer` decides what is answered
_SETTING = re.compile(
    r"api[_-]?key|access[_-]?key|secret|password|credential|authorization|(session|auth|ad)"
    r"_?token$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_NO_WORD = re.compile(r".{16,}|(?=.*\d).{8,}", re.DOTALL)  # "ollama" is no key
# What providers' keys look like, a header with one, an address with a password; words
# such as "sk-learn pipelines" and "Basic mathematics" have no digit.
_KEY = re.compile(
    r"(sk|xox[abprs]|glpat)-(?=\S*\d)[\w-]{10,}|(sk|pk|rk)_(live|test)_\w{10,}|"
    r"(hf|gsk|r8|npm|gh[pousr])_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"
    r"(AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|"
    r"(Bearer|Basic) (?=\S*\d)[\w.~+/=-]{8,}|[a-z][\w+.-]*://[^/\s:@]*:[^/\s@]+@\S+"
)
_LONGEST_KEY = 4096
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]+@")
_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_QUERY = re.compile(r"(\w://[^\s?]*)\?\S*")


def is_key(text: str) -> bool:
    """True if the text looks like a key, a header with one, or holds a password."""
    return len(text) < _LONGEST_KEY and bool(_KEY.fullmatch(text))


@functools.lru_cache(4096)
def names_secret(name: str) -> bool:
    """True if an attribute of this name holds a key, headers or an address."""
    return bool(_ATTRIBUTE.search(name))


def is_secret_argument(name: str, value: Any) -> bool:
    """True if an argument of an LM is a key, or headers that may contain one."""
    named = name not in {"messages", "prompt"} and _ARGUMENT.search(name)
    return bool(named) and isinstance(value, str | Mapping)


def names_key(setting: str) -> bool:
    """True if a setting of this name would be a key."""
    return bool(_SETTING.search(setting))


def environment_secrets() -> Iterator[tuple[str, str]]:
    """Names and values of the environment: keys, and passwords in addresses."""
    for name, value in os.environ.items():
        secrets = _PASSWORD.findall(value) + [value] * bool(_VARIABLE.search(name))
        yield from ((name, secret) for secret in secrets if _NO_WORD.match(secret))


def mask(text: str, *secrets: str | None) -> str:
    """The text without the secrets, and without the credentials of any address."""
    for secret in secrets:
        text = text.replace(secret, MASK) if secret else text
    return _CREDENTIALS.sub(f"{MASK}@", text)


def without_credentials(text: str) -> str:
    """The text without user, password and query of the addresses in it."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", text))
