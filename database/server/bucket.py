"""The bucket that the repository is in, where it is in one: as the settings name it, and as pgBackRest is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from server import setting
from server.error import StopError

REGION = "us-east-1"
SECRETS = ("PITR_S3_ACCESS_KEY_ID", "PITR_S3_SECRET_ACCESS_KEY", "PITR_PASSPHRASE")
HTTPS = 443


class Bucket(NamedTuple):
    """Where it is, who may write to it, and what its content is encrypted with; nothing of that shows up in text."""

    name: str
    endpoint: str
    region: str
    prefix: str
    authorities: str
    key_id: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        """Show where it is."""
        return f"Bucket({self.uri!r})"

    @property
    def uri(self) -> str:
        """Its address, as people write it."""
        return f"s3://{self.name}/{self.prefix}"


def find(environ: Mapping[str, str]) -> Bucket | None:
    """Return the configured bucket, None where there is none; raise StopError for half of one."""
    name = setting.read("PITR_S3_BUCKET", environ)
    if not name:
        return None
    key_id, secret, passphrase = (needed(each, environ) for each in SECRETS)
    endpoint = setting.read("PITR_S3_ENDPOINT", environ) or ""
    if endpoint and (urlsplit(endpoint).scheme != "https" or not urlsplit(endpoint).hostname):
        raise StopError(f"PITR_S3_ENDPOINT: got {endpoint!r}, wanted a URL that begins with https://")
    return Bucket(
        name=name,
        endpoint=endpoint,
        region=setting.read("PITR_S3_REGION", environ) or REGION,
        prefix=(setting.read("PITR_S3_PREFIX", environ) or "").strip("/"),
        authorities=environ.get("PITR_S3_CA_FILE") or "",
        key_id=key_id,
        secret=secret,
        passphrase=passphrase,
    )


def needed(name: str, environ: Mapping[str, str]) -> str:
    """Return a secret; raise StopError, which does not quote it, where it is none that a line of a file can hold."""
    value = setting.read(name, environ) or ""
    if not value or not value.isprintable():
        raise StopError(f"{name}: {'not one line' if value else 'not set'}, wanted with PITR_S3_BUCKET")
    return value


def options(bucket: Bucket) -> dict[str, str]:
    """Return what pgBackRest is told of it, secrets included: for a file that nobody else reads."""
    place = urlsplit(bucket.endpoint or f"https://s3.{bucket.region}.amazonaws.com")
    told = {
        "repo1-type": "s3",
        "repo1-path": f"/{bucket.prefix}",
        "repo1-s3-bucket": bucket.name,
        "repo1-s3-endpoint": str(place.hostname),
        "repo1-s3-region": bucket.region,
        # Only Amazon's own is sure to know a bucket by a host name.
        "repo1-s3-uri-style": "path" if bucket.endpoint else "host",
        "repo1-storage-port": str(place.port or HTTPS),
        "repo1-s3-key": bucket.key_id,
        "repo1-s3-key-secret": bucket.secret,
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-cipher-pass": bucket.passphrase,
        # Of a bucket that does not answer somebody hears within a minute, and not after several.
        "io-timeout": "20",
    }
    return told | ({"repo1-storage-ca-file": bucket.authorities} if bucket.authorities else {})
