"""Keys that no byte may hold which a run writes, and the search for them."""

import base64
from pathlib import Path
from urllib.parse import quote

KEY = "sk-canary-0123456789abcdef"
PROMPT_KEY = "sk-prompt-canary-fedcba9876543210"


def holders(folder: Path, secrets: list[str], *more: bytes) -> list[str | int]:
    """What of a folder's files and of these texts holds a secret, in any spelling."""
    spelled = [
        form
        for secret in secrets
        for form in (
            secret.encode(),
            quote(secret, safe="").encode(),
            base64.b64encode(secret.encode()).rstrip(b"="),
        )
    ]
    files = {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    texts = {**files, **dict(enumerate(more))}
    return [name for name, text in texts.items() if any(s in text for s in spelled)]
