"""Weights by hub, through huggingface_hub's real code, from a hub on loopback."""

import hashlib

import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.embedded.weights import find_weights
from po_optimizer.params.lm import EmbeddedParams
from tests.servers.hub import hub

CONTENT = b"GGUF" + bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REVISION = "9217f5db79a29953eb74d5343926648285ec7e67"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub with one file, which the library takes for the only one."""
    monkeypatch.setenv("PO_WEIGHTS_DIR", str(tmp_path / "cache"))
    path = f"/org/repo/resolve/{REVISION}/w.gguf"
    with hub(CONTENT, path) as running:
        for module in ("constants", "file_download"):
            name = f"huggingface_hub.{module}.HUGGINGFACE_CO_URL_TEMPLATE"
            template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(name, template, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.address)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield running


def weights(**changes):
    """The file of the hub."""
    known = {"file": "w.gguf", "hub_repo": "org/repo", "hub_revision": REVISION}
    return EmbeddedParams(**{**known, "sha256": SHA256, **changes})


def test_download_is_checked_and_kept(server):
    """The second time nothing is asked for."""
    path = find_weights(weights())
    assert path.read_bytes() == CONTENT
    asked = len(server.ranges)
    assert find_weights(weights()) == path
    assert len(server.ranges) == asked == 1


def test_broken_download_resumes_where_it_broke(server, monkeypatch):
    """What had arrived, in whole chunks, is not fetched again."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 65536)
    server.break_after = 300_000
    assert find_weights(weights()).read_bytes() == CONTENT
    assert server.ranges[0] is None
    assert server.ranges[-1] is not None
    assert int(server.ranges[-1].removeprefix("bytes=").split("-")[0]) > 0


def test_altered_download_is_refused(server, tmp_path):
    """The hub's digest is not trusted, the configuration's is."""
    with pytest.raises(SettingError, match="sha256"):
        find_weights(weights(sha256="0" * 64))
    assert not (tmp_path / "cache" / "w.gguf").exists()


def test_file_that_the_hub_does_not_have_is_named(server):
    """Repository and revision stand in the error."""
    with pytest.raises(SettingError, match=f"org/repo@{REVISION}"):
        find_weights(weights(file="x.gguf"))
