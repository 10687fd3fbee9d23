"""The policies of docs/s3.md, each given to a user of moto: enough for what the process does, no right that it does not need."""

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication
from moto.iam.access_control import S3IAMRequest

from adapters.archive_files import manifest_key, range_file_key
from adapters.errors import ConfigurationError
from adapters.market_data import StoredMarketData
from adapters.s3 import S3Provider
from adapters.s3_options import S3Options
from adapters.s3_probe import LEAST_PART_BYTES, probe
from backtape.data import generate_dataset
from snapshots.deletion import delete_snapshot
from snapshots.orphans import collect_orphans
from snapshots.reader import read_snapshots
from snapshots.verify import verify_snapshot
from tests.contract.moto_server import moto_environment
from tests.factories import LOG_ID, finished_log
from tests.unit.snapshots.test_bundles import bundle

PAGE = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()
POLICIES = {
    name: json.loads(text)
    for name, text in re.findall(r"^\*\*(\w+)\*\*.*?```json\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE)
}
LOGS = [finished_log(f"bt-{number}", seed=number, steps=3) for number in range(4)]
RANGE = ("backtape.events", 0, LOG_ID, 0)


def stored(store: S3Provider) -> None:
    """Fill the bucket with something of everything."""
    bundle(store, *LOGS[:3])
    store.put(range_file_key(*RANGE, "0" * 64), b"records")
    store.put(manifest_key(*RANGE), b"{}")
    store.put("imports/one/left", b"a batch of an import")
    generate_dataset(store, dataset="g", bars=100, seed=1)


def read(store: S3Provider, folder: Path) -> None:
    """A run of which the bundle that its manifest names is gone is read as well."""
    assert read_snapshots(store).pandas("fills") is not None
    assert verify_snapshot(store, "bt-0", LOGS[0].bodies) is None


def simulate(store: S3Provider, folder: Path) -> None:
    data = StoredMarketData(store, folder)
    assert len(data.bars(data.resolve("g", None), "SIM", "1m")) == 100


def project(store: S3Provider, folder: Path) -> None:
    for blob in store.list("archive/"):
        store.get(blob.key)


def compact(store: S3Provider, folder: Path) -> None:
    """Write a bundle, delete backtests, collect until their rows are gone and their files with them; archive a range."""
    bundle(store, *LOGS)
    for names in (("bt-1",), ("bt-0", "bt-2", "bt-3")):
        for name in names:
            delete_snapshot(store, name)
        for _ in range(3):
            found = collect_orphans(store, now_ms=2**42, grace_ms=0)
            assert found.unreadable == []
    assert [blob.key for prefix in ("backtests/", "bundles/", "moved/") for blob in store.list(prefix)] == []
    key = range_file_key("backtape.events", 0, LOG_ID, 10, "1" * 64)
    store.put(key, b"more records")
    assert store.get(key) == b"more records" and store.put_if_absent(manifest_key("backtape.events", 0, LOG_ID, 10), b"{}")
    assert store.get("imports/one/left") == b"a batch of an import"
    store.delete("imports/one/left")
    for at in ("backtests/x/y", "bundles/y"):
        target = {"Bucket": store.bucket, "Key": store.prefix + at}
        store._client.abort_multipart_upload(**target, UploadId=store._client.create_multipart_upload(**target)["UploadId"])


def bring(store: S3Provider, folder: Path) -> None:
    assert generate_dataset(store, dataset="h", bars=100, seed=2).is_new
    assert not generate_dataset(store, dataset="h", bars=100, seed=2).is_new


def audit(store: S3Provider, folder: Path) -> None:
    read(store, folder)
    simulate(store, folder)
    project(store, folder)


def examine(store: S3Provider, folder: Path) -> None:
    found = list(probe(store))
    assert [each for each in found if not each.ok] == [] and len(found) == 7


Work = Callable[[S3Provider, Path], None]
# What each process does, and what it must not be able to do.
WORKS: dict[str, tuple[Work, dict[str, Callable[[S3Provider], object]]]] = {
    "reader": (read, {
        "write": lambda store: store.put("backtests/bt-0/x", b""),
        "delete": lambda store: store.delete("backtests/bt-0/manifest.json"),
        "market data": lambda store: store.get("datasets/g/00000001.json"),
        "archive": lambda store: store.get(manifest_key(*RANGE)),
    }),
    "worker": (simulate, {
        "write": lambda store: store.put("datasets/g/x", b""),
        "snapshots": lambda store: store.get("backtests/bt-0/manifest.json"),
    }),
    "projector": (project, {
        "write": lambda store: store.put("archive/x", b""),
        "market data": lambda store: store.get("datasets/g/00000001.json"),
    }),
    "compactor": (compact, {
        "delete the archive": lambda store: store.delete(manifest_key(*RANGE)),
        "forget a deletion": lambda store: store.delete("deleted/bt-1.json"),
        "market data": lambda store: store.put("datasets/g/x", b""),
    }),
    "importer": (bring, {
        "delete": lambda store: store.delete("datasets/g/00000001.json"),
        "snapshots": lambda store: store.put("backtests/bt-0/manifest.json", b""),
    }),
    "auditor": (audit, {
        "write": lambda store: store.put("backtests/bt-0/x", b""),
        "delete": lambda store: store.delete("datasets/g/00000001.json"),
    }),
    "doctor": (examine, {"snapshots": lambda store: store.put("backtests/bt-0/x", b"")}),
}  # fmt: skip


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_environment() as endpoint:
        yield endpoint


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """What moto's policy engine was asked for: action and resource."""
    asked: set[tuple[str, str]] = set()
    check = S3IAMRequest.check_action_permitted

    def noted(self: Any, resource: str) -> None:
        asked.add((self._action, resource))
        check(self, resource)

    monkeypatch.setattr(S3IAMRequest, "check_action_permitted", noted)
    return asked


def test_every_policy_is_tried() -> None:
    assert set(POLICIES) == set(WORKS)


@pytest.mark.parametrize("name", WORKS)
def test_a_policy_is_enough_and_no_more(
    endpoint: str, asked: set[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """The work is done, each right of it used; other objects are out of reach, and so is another prefix."""
    prefix = f"prefix-{name}"
    policy = json.loads(json.dumps(POLICIES[name]).replace("/prefix/", f"/{prefix}/"))
    root = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1", "endpoint_url": endpoint}
    iam, s3 = boto3.client("iam", **root), boto3.client("s3", **root)  # type: ignore[call-overload]
    stored(S3Provider(bucket="bucket", prefix=prefix, client=s3))
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="docs", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    store = S3Provider(bucket="bucket", prefix=prefix, options=S3Options(endpoint=endpoint), part_bytes=LEAST_PART_BYTES)
    work, refused = WORKS[name]
    if name == "reader":
        moved = S3Provider(bucket="bucket", prefix=prefix, client=s3)
        delete_snapshot(moved, "bt-1")
        for _ in range(2):
            collect_orphans(moved, now_ms=2**42, grace_ms=0)
    with enable_iam_authentication():
        work(store, tmp_path)
        used = set(asked)
        for what, attempt in {**refused, "another prefix": lambda store: elsewhere(store).get("backtests/bt-0/x")}.items():
            with pytest.raises(ConfigurationError, match="refuses these credentials"):
                attempt(store)
                pytest.fail(f"{name} can do what it must not: {what}")
    for action, resource in rights(policy):
        assert any(each == action and fnmatchcase(asked_for, resource) for each, asked_for in used), (
            f"unused: {action} {resource}"
        )


def elsewhere(store: S3Provider) -> S3Provider:
    return S3Provider(bucket=store.bucket, prefix="other", client=store._client)


def rights(policy: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for statement in policy["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in [resources] if isinstance(resources, str) else resources:
                yield action, resource
