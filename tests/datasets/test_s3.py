"""Datasets on S3, with credentials that may do what the docs say and nothing else."""

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from kedro.io.core import DatasetError, Version, generate_timestamp

from po_optimizer.datasets import (
    DSPyProgramDataset,
    FolderDataset,
    LMDataset,
    RecordsDataset,
    RecordStreamDataset,
    RunsDataset,
    WholeJSONDataset,
    WholeTextDataset,
)
from po_optimizer.errors import SettingError
from po_optimizer.files import RemoteFolder
from po_optimizer.persistence.prompts import prompt_hashes
from tests.evaluation import scripted
from tests.persistence import zoo

boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": "arn:aws:s3:::bucket/team/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::bucket",
        },
    ],
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server on a free port, with one bucket."""
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    admin("s3", url).create_bucket(Bucket="bucket")
    yield url
    running.stop()


def admin(service: str, url: str) -> Any:
    """A client that may do all: from here on the server looks at no rights."""
    reset_auth(url, 1_000_000)
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )


@pytest.fixture(scope="module")
def credentials(endpoint: str) -> dict[str, Any]:
    """Keys of a user with the rights that the docs ask for."""
    iam = admin("iam", endpoint)
    iam.create_user(UserName="team")
    iam.put_user_policy(
        UserName="team", PolicyName="p", PolicyDocument=json.dumps(ALLOWED)
    )
    key = iam.create_access_key(UserName="team")["AccessKey"]
    return {
        "key": key["AccessKeyId"],
        "secret": key["SecretAccessKey"],
        "client_kwargs": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        "skip_instance_cache": True,
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2},
    }


@pytest.fixture(autouse=True)
def checked(endpoint: str) -> Iterator[None]:
    """From here on the server looks at the rights."""
    reset_auth(endpoint, 0)
    yield
    reset_auth(endpoint, 1_000_000)


def reset_auth(url: str, n_unchecked: int) -> None:
    """The server looks at the rights after so many requests."""
    data = str(n_unchecked).encode()
    request = urllib.request.Request(  # noqa: S310 -- loopback
        f"{url}/moto-api/reset-auth", data, {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 -- loopback


def program_at(name: str, credentials: dict[str, Any], **options: Any) -> Any:
    """A program's dataset on the store."""
    return DSPyProgramDataset(
        filepath=f"s3://bucket/team/{name}",
        verify="off",
        allowed_packages=["tests"],
        credentials=credentials,
        **options,
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (WholeTextDataset, "ñ"),
        (WholeJSONDataset, {"n": 1}),
        (RecordsDataset, [{"n": 1}]),
        (RecordStreamDataset, [{"n": 1}, {"n": 2}]),
    ],
)
@pytest.mark.parametrize("versioned", [False, True])
def test_every_file_dataset(kind, data, versioned, credentials):
    """What was saved is loaded, versioned or not, and shown."""
    version = Version(None, generate_timestamp()) if versioned else None
    path = f"s3://bucket/team/{kind.__name__}-{versioned}/file"
    dataset = kind(filepath=path, credentials=credentials, version=version)
    assert not dataset.exists()
    dataset.save(data)
    loaded = dataset.load()
    assert (list(loaded) if kind is RecordStreamDataset else loaded) == data
    assert dataset.exists()
    assert dataset.preview()


@pytest.mark.parametrize("versioned", [False, True])
def test_a_program(versioned, credentials, endpoint):
    """It is stored and loaded; nothing but it and its snapshot is left."""
    program = zoo.improved(zoo.Plain())
    name = f"program-{versioned}/program.json"
    version = Version(None, generate_timestamp()) if versioned else None
    dataset = program_at(name, credentials, version=version)
    dataset.save(program)
    assert prompt_hashes(dataset.load()) == prompt_hashes(program)
    listed = admin("s3", endpoint).list_objects_v2(
        Bucket="bucket", Prefix=f"team/{name.partition('/')[0]}"
    )
    assert len(listed["Contents"]) == 2


def test_a_program_that_is_there_is_released_once(credentials):
    """A resumed run makes no second version."""
    for _ in range(2):
        version = Version(None, generate_timestamp())
        options = {"version": version, "skip_unchanged": True}
        dataset = program_at("once/program.json", credentials, **options)
        dataset.save(zoo.Plain())
    assert len(dataset.list_versions()) == 1


def test_nothing_stored_is_none(credentials):
    """An empty listing is the only one that means it."""
    version = Version(None, generate_timestamp())
    dataset = program_at("none/p.json", credentials, optional=True, version=version)
    assert dataset.load() is None


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("fault", ["endpoint", "bucket", "rights"])
def test_a_store_that_cannot_be_looked_at(fault, versioned, credentials):
    """It is an error that names the place, also where nothing need be there."""
    given, path = dict(credentials), "s3://bucket/team/p.json"
    if fault == "endpoint":
        given["client_kwargs"] = {"endpoint_url": "http://127.0.0.1:9"}
    elif fault == "bucket":
        path = "s3://buckett/team/p.json"
    else:
        given["secret"] = "wrong"
    version = Version(None, generate_timestamp()) if versioned else None
    dataset = DSPyProgramDataset(
        filepath=path, credentials=given, optional=True, version=version
    )
    for look in (dataset.load, dataset.exists, dataset.preview):
        with pytest.raises(DatasetError, match=path.rpartition("/")[0]):
            look()


def test_a_misspelt_bucket_is_not_made(credentials, endpoint):
    """The save fails and says so."""
    dataset = WholeTextDataset(
        filepath="s3://buckett/team/text", credentials=credentials
    )
    with pytest.raises(DatasetError, match="buckett"):
        dataset.save("text")
    buckets = admin("s3", endpoint).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["bucket"]


def test_a_version_that_is_not_there(credentials):
    """The error lists those that are."""
    stored = Version(None, "2026-01-01T00.00.00.000Z")
    program_at("named/p.json", credentials, version=stored).save(zoo.Plain())
    dataset = program_at("named/p.json", credentials, version=Version("bad", None))
    with pytest.raises(DatasetError, match=r"'bad'.*There are: 2026-01-01T00"):
        dataset.load()


def test_finished_runs(credentials, tmp_path):
    """Reports on the store are compared."""
    report = WholeJSONDataset(
        filepath="s3://bucket/team/r/lm/score_report.json", credentials=credentials
    )
    scores = scripted.report([0.2, 0.4], [0.5, 0.6]).model_dump(mode="json")
    report.save(scores)
    (run,) = RunsDataset(
        reporting={"filepath": "s3://bucket/team/r"},
        models={"filepath": "s3://bucket/team/m"},
        output={"filepath": str(tmp_path)},
        credentials=credentials,
    ).load()
    assert run.report.model_dump(mode="json") == scores


@pytest.mark.parametrize(
    "made", [FolderDataset, lambda **given: LMDataset(role="task", **given)]
)
def test_what_must_be_local_says_so(made):
    """A ledger is appended to; no folder named `s3:` is made."""
    with pytest.raises(SettingError, match=r"s3://bucket/x.*local folder"):
        made(filepath="s3://bucket/x")


def test_what_a_killed_save_left_is_removed_after_an_hour(credentials, monkeypatch):
    """A younger one may be another's."""
    dataset = program_at("litter/p.json", credentials)
    folder = dataset._folder(dataset._filepath.parent)
    assert isinstance(folder, RemoteFolder)
    for age in (0, 7200):
        name = f".p.json.{int(time.time()) - age}-0123abcd.tmp"
        folder.filesystem.pipe_file(folder._path(name), b"half")
    dataset.save(zoo.Plain())
    dataset.save(zoo.Plain())
    staged = [name for name in folder.names() if name.endswith(".tmp")]
    assert len(staged) == 1
