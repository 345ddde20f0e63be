"""What Lance promises of an object store, which is all that a corpus there could build on: no commit is ever lost.

Needs an S3 server on loopback: `pip install 'moto[s3,server]'` into any environment whose `bin` is on the PATH.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import lance
import pyarrow as pa
import pytest

SERVER = shutil.which("moto_server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="moto_server is not on the PATH")
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, Signature=x"}
WRITERS, ROUNDS = 6, 3


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    """A bucket `tables` on a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([str(SERVER), "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    bucket = urllib.request.Request(f"{address}/tables", headers=SIGNED, method="PUT")
    for _ in range(600):
        try:
            urllib.request.urlopen(bucket, timeout=30)
            break
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
    yield {
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
        "aws_region": "us-east-1",
        "aws_endpoint": address,
        "allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
    }
    server.terminate()
    server.wait()


def rows(number: int) -> pa.Table:
    return pa.table({"n": pa.array([number] * 10, pa.int64())})


def test_writers_that_meet_lose_nothing(options: dict[str, str]) -> None:
    place = "s3://tables/appended.lance"
    lance.write_dataset(rows(0), place, storage_options=options)

    def append(writer: int) -> None:
        for _ in range(ROUNDS):
            lance.write_dataset(rows(writer), place, mode="append", storage_options=options)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(append, range(1, WRITERS + 1)))
    dataset = lance.dataset(place, storage_options=options)
    found = dataset.to_table()["n"].value_counts().to_pylist()
    assert {entry["values"]: entry["counts"] for entry in found} == {0: 10, **dict.fromkeys(range(1, 7), 10 * ROUNDS)}
    assert dataset.version == 1 + WRITERS * ROUNDS


def test_of_two_that_replace_the_same_one_is_refused(options: dict[str, str]) -> None:
    place = "s3://tables/overwritten.lance"
    first = lance.write_dataset(rows(0), place, storage_options=options)
    fragment = [lance.fragment.LanceFragment.create(place, rows(number), storage_options=options) for number in (1, 2)]
    told = []
    for each in fragment:
        operation = lance.LanceOperation.Update(
            removed_fragment_ids=[0], updated_fragments=[], new_fragments=[each], fields_modified=[]
        )
        try:
            lance.LanceDataset.commit(place, operation, read_version=first.version, storage_options=options)
            told.append("committed")
        except OSError as error:
            told.append("conflict" if "conflict" in str(error).lower() else str(error))
    assert told == ["committed", "conflict"]
    assert lance.dataset(place, storage_options=options).to_table()["n"].to_pylist() == [1] * 10
