"""Google credentials that only a server on loopback accepts."""

import json
from pathlib import Path
from typing import Any

import pytest

PROJECT = "the-project"


def log_in(monkeypatch: pytest.MonkeyPatch, folder: Path, address: str) -> str:
    """Application-default credentials whose tokens come from `address`/token.

    Returns:
        The private key, which must never be written anywhere else.
    """
    key = _private_key()
    account: dict[str, Any] = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": key,
        "client_email": "canary@the-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{address}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return key


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()
