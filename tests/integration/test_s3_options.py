"""How a bucket is reached and how objects are kept in it: credentials, TLS, encryption, address, and the doctor."""

import datetime as dt
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.core.authorization import enable_iam_authentication
from typer.testing import CliRunner

from adapters.errors import ConfigurationError
from adapters.s3 import S3Provider
from adapters.s3_options import Addressing, Encryption, S3Options
from adapters.s3_probe import LEAST_PART_BYTES, probe
from backtape.cli.app import app
from backtape.stack import Endpoints
from backtape.stored_results import read_results
from consumers.settings import load_settings
from tests.contract.moto_server import moto_environment
from tests.factories import finished_log
from tests.unit.snapshots.test_bundles import bundle

USUAL = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_environment() as endpoint:
        yield endpoint


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nobody has set AWS up: the folder of its two files."""
    for name in USUAL:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def test_the_environments_keys_are_taken(aws: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = S3Provider(bucket="bucket", prefix="environment", options=S3Options(endpoint=moto))
    store.put("k", b"1")
    assert store.get("k") == b"1" and store.credentials_source() == "env"


def test_a_profile_and_the_role_that_it_assumes(aws: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rights enforced: the user may nothing but take the role, which may write."""
    root = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1", "endpoint_url": moto}
    iam = boto3.client("iam", **root)  # type: ignore[call-overload]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="writer", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    arn = role["Role"]["Arn"]
    writes = {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/role/*"]}
    iam.put_role_policy(
        RoleName="writer", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [writes]})
    )
    iam.create_user(UserName="person")
    takes = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    iam.put_user_policy(
        UserName="person", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [takes]})
    )
    key = iam.create_access_key(UserName="person")["AccessKey"]
    (aws / "credentials").write_text(
        f"[person]\naws_access_key_id={key['AccessKeyId']}\naws_secret_access_key={key['SecretAccessKey']}\n"
    )
    (aws / "config").write_text(f"[profile backtape]\nrole_arn={arn}\nsource_profile=person\nregion=eu-central-1\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    bundle(S3Provider(bucket="bucket", prefix="role", client=boto3.client("s3", **root)), finished_log())  # type: ignore[call-overload]
    with enable_iam_authentication():
        monkeypatch.setenv("AWS_PROFILE", "person")
        person = S3Provider(bucket="bucket", prefix="role", options=S3Options(endpoint=moto))
        assert person.credentials_source() == "shared-credentials-file"
        with pytest.raises(ConfigurationError, match="refuses these credentials"):
            person.put("k", b"1")
        monkeypatch.setenv("AWS_PROFILE", "backtape")
        store = S3Provider(bucket="bucket", prefix="role", options=S3Options(endpoint=moto))
        store.put("k", b"1")
        assert store.get("k") == b"1" and store.credentials_source() == "assume-role"
        assert "eu-central-1" in (store.presigned("k", 60) or ""), "the profile's region"
        results = read_results("s3://bucket/role", endpoint=moto)
        assert results.dataset("fills").count_rows() == len(results.pandas("fills")) > 0, "Arrow reads with the role's keys"


def test_a_profile_that_is_not_there_is_named(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="nobody"):
        S3Provider(bucket="bucket", options=S3Options(endpoint="http://127.0.0.1:1"))


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 that no one has signed, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "backtape test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return path


def test_tls_is_spoken_and_an_unknown_certificate_is_refused_at_once(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CA_BUNDLE names what is trusted; without it nothing is tried again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    path = certificate(aws)
    waits: list[float] = []
    with moto_environment("secret", certificate=path) as endpoint:
        assert endpoint.startswith("https://")
        with pytest.raises(ConfigurationError, match="certificate is not trusted"):
            S3Provider(bucket="secret", options=S3Options(endpoint=endpoint), sleep=waits.append).put("k", b"1")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
        store = S3Provider(bucket="secret", options=S3Options(endpoint=endpoint), sleep=waits.append)
        store.put("k", b"1")
        assert store.get("k") == b"1"
        bundle(store, finished_log())
        assert read_results("s3://secret", endpoint=endpoint).dataset("fills").count_rows() > 0, "Arrow trusts it, too"
    assert waits == []


@pytest.mark.parametrize(
    "encryption, key", [(None, None), ("AES256", None), ("aws:kms", None), ("aws:kms", "alias/backtape"), ("aws:kms:dsse", None)]
)
def test_every_object_is_encrypted_as_the_settings_say(
    aws: Path, moto: str, monkeypatch: pytest.MonkeyPatch, encryption: Encryption | None, key: str | None
) -> None:
    """By each of the three ways to make one: PUT, conditional PUT, in parts; each with its SHA-256."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "BACKTAPE_S3_URL": "s3://bucket/kept",
        "BACKTAPE_S3_ENDPOINT": moto, "BACKTAPE_S3_ENCRYPTION": encryption or "", "BACKTAPE_S3_KMS_KEY": key or "",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = load_settings()
    store = S3Provider.of_url(settings.s3_url, options=settings.s3, part_bytes=LEAST_PART_BYTES)
    store.put("plain", b"1")
    assert store.put_if_absent(f"conditional-{encryption}-{key}", b"1")
    store.put("large", bytes(LEAST_PART_BYTES + 1))
    for name in ("plain", f"conditional-{encryption}-{key}", "large"):
        kept = store.kept_as(name)
        assert kept.encryption == encryption, "moto's bucket has no default of its own"
        assert key is None or key in (kept.kms_key or "")
        assert kept.checksum is not None and kept.checksum.startswith("SHA-256 ")


def test_a_key_without_encryption_by_it_is_refused() -> None:
    """It would protect nothing."""
    with pytest.raises(ConfigurationError, match=r"alias/x.*allowed only with encryption aws:kms"):
        S3Options(encryption="AES256", kms_key="alias/x")


@pytest.mark.parametrize(
    "endpoint, addressing, host, path",
    [
        ("http://s3.example:9000", "auto", "s3.example:9000", "/bucket/p/k"),
        ("http://s3.example:9000", "virtual", "bucket.s3.example:9000", "/p/k"),
        (None, "auto", "bucket.s3.eu-west-3.amazonaws.com", "/p/k"),
        (None, "path", "s3.eu-west-3.amazonaws.com", "/bucket/p/k"),
    ],
)
def test_where_the_buckets_name_stands(
    aws: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, addressing: Addressing, host: str, path: str
) -> None:
    """In the path or in the host's name; the region is in every signature."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    options = S3Options(endpoint=endpoint, region="eu-west-3", addressing=addressing)
    told = urlsplit(S3Provider(bucket="bucket", prefix="p", options=options).presigned("k", 60) or "")
    assert (told.netloc, told.path) == (host, path)
    assert "/eu-west-3/s3/" in parse_qs(told.query)["X-Amz-Credential"][0]


@pytest.mark.real
def test_the_doctor_tries_the_bucket_of_the_settings(
    own_endpoints: Endpoints, aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the real server all is well and nothing stays; a bucket that is not there is said, with exit code 1."""
    for name, value in own_endpoints.environment().items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor", "--s3", "--json"])
    assert done.exit_code == 0, done.output
    told = {each["name"]: each for each in json.loads(done.stdout)}
    assert told["conditional PUT"]["detail"] == "one of 8 racing writers won" and all(each["ok"] for each in told.values())
    assert list(S3Provider.of_url(own_endpoints.s3_url, options=load_settings().s3).list("")) == []
    monkeypatch.setenv("BACKTAPE_S3_URL", "s3://no-such-bucket/x")
    done = CliRunner().invoke(app, ["doctor", "--s3", "--json"])
    assert done.exit_code == 1
    last = json.loads(done.stdout)[-1]
    assert not last["ok"] and "no such bucket" in last["detail"] and "s3:PutObject" in last["remedy"]


def test_the_doctor_finds_a_server_without_conditional_puts(aws: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes every PUT would let two writers win."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = S3Provider(bucket="bucket", prefix="lax", options=S3Options(endpoint=moto), part_bytes=LEAST_PART_BYTES)
    put = store._client.put_object
    store._client.put_object = lambda **request: put(**{k: v for k, v in request.items() if k != "IfNoneMatch"})
    last = list(probe(store))[-1]
    assert (last.name, last.ok) == ("conditional PUT", False) and "were told that theirs is the one" in last.detail
    assert list(store.list("")) == []
