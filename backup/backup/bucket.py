"""A bucket that speaks S3: files put into it, read back, listed and removed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from backup import setting
from backup.error import StopError

PART = 16 << 20
MOST_PARTS = 9000
BLOCK = 1 << 20
STALE = timedelta(days=2)
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 10, 60, 5


class Place(NamedTuple):
    """Where the bucket is and who may write to it; its secret shows up in no representation of it."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    key_id: str
    secret: str
    authorities: str | None

    def __repr__(self) -> str:
        """Show where it is."""
        return f"Place({self.uri('')!r})"

    def uri(self, key: str) -> str:
        """Return the address of what has this key, as people write it."""
        return f"s3://{self.bucket}/{self.prefix}{key}"


def find(environ: Mapping[str, str]) -> Place | None:
    """Return the configured bucket, None where there is none; raise StopError for half of one."""
    bucket = setting.read("BACKUP_S3_BUCKET", environ)
    if not bucket:
        return None
    names = ("BACKUP_S3_ACCESS_KEY_ID", "BACKUP_S3_SECRET_ACCESS_KEY")
    key_id, secret = (setting.read(name, environ) for name in names)
    if not key_id or not secret:
        raise StopError(f"{names[0] if not key_id else names[1]}: not set, wanted with BACKUP_S3_BUCKET")
    endpoint = setting.read("BACKUP_S3_ENDPOINT", environ)
    if endpoint and (urlsplit(endpoint).scheme != "https" or not urlsplit(endpoint).hostname):
        raise StopError(f"BACKUP_S3_ENDPOINT: got {endpoint!r}, wanted a URL that begins with https://")
    prefix = (setting.read("BACKUP_S3_PREFIX", environ) or "").strip("/")
    return Place(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=endpoint,
        region=setting.read("BACKUP_S3_REGION", environ) or "us-east-1",
        key_id=key_id,
        secret=secret,
        authorities=environ.get("BACKUP_S3_CA_FILE") or None,
    )


class Bucket:
    """A session with a bucket."""

    def __init__(self, place: Place) -> None:
        """Begin a session; nothing is asked of the bucket yet."""
        # It is large, and who has no bucket needs none of it.
        import botocore.config
        import botocore.session

        self.place = place
        session = botocore.session.Session()
        # Nothing from files or addresses of the machine: the settings are all there is.
        session.set_config_variable("config_file", "/dev/null")
        session.set_credentials(place.key_id, place.secret)
        self.client: Any = session.create_client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint,
            verify=place.authorities or True,
            config=botocore.config.Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                s3={"addressing_style": "path" if place.endpoint else "auto"},
                # Checksums that are on by default break other servers' objects; what was stored is read back anyway.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def ask(self, what: str, operation: str, **arguments: Any) -> Any:
        """Do one operation; raise StopError that names what it was about when it fails for good."""
        import botocore.exceptions
        import urllib3.exceptions

        try:
            return getattr(self.client, operation)(Bucket=self.place.bucket, **arguments)
        except botocore.exceptions.ClientError as error:
            about = error.response.get("Error", {})
            raise RefusedError(
                self.words(what, f"{about.get('Code')}: {about.get('Message')}"), str(about.get("Code"))
            ) from None
        except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise StopError(self.words(what, str(error))) from None

    def words(self, what: str, reason: str) -> str:
        """Return an error's text."""
        told = " ".join(reason.split()).rstrip(".")
        return f"{self.place.uri(what)}: {told}. Look at BACKUP_S3_*, the bucket and its rights"

    def put(self, key: str, path: Path, tick: Callable[[], None]) -> None:
        """Store a file under a key that has never been used, in parts when it is large."""
        size = path.stat().st_size
        full = self.place.prefix + key
        if size <= PART:
            self.unless_there(key, "put_object", Key=full, Body=path.read_bytes())
            return
        upload = self.ask(key, "create_multipart_upload", Key=full)["UploadId"]
        part_size = max(PART, -(-size // MOST_PARTS))
        parts: list[dict[str, object]] = []
        try:
            with path.open("rb") as file:
                while block := file.read(part_size):
                    number = len(parts) + 1
                    answer = self.ask(key, "upload_part", Key=full, UploadId=upload, PartNumber=number, Body=block)
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
                    tick()
            self.unless_there(
                key, "complete_multipart_upload", Key=full, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            self.abort(key, upload)
            raise

    def unless_there(self, key: str, operation: str, **arguments: Any) -> None:
        """Store under a key that nothing has; a repeated request that finds its own first attempt there has succeeded.

        What is there is read back and compared in any case, so it cannot be something else unnoticed.
        """
        try:
            self.ask(key, operation, IfNoneMatch="*", **arguments)
        except RefusedError as error:
            if error.code in ("NotImplemented", "501"):
                self.ask(key, operation, **arguments)
            elif error.code not in ("PreconditionFailed", "412"):
                raise

    def abort(self, key: str, upload: str) -> None:
        """Give up a large file; where that fails too, a later run does it."""
        try:
            self.ask(key, "abort_multipart_upload", Key=self.place.prefix + key, UploadId=upload)
        except StopError:
            return

    def read(self, key: str) -> Iterator[bytes]:
        """Yield what is stored under a key; raise StopError when it cannot be read to its end."""
        import botocore.exceptions
        import urllib3.exceptions

        body = self.ask(key, "get_object", Key=self.place.prefix + key)["Body"]
        try:
            yield from body.iter_chunks(BLOCK)
        except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise StopError(self.words(key, str(error))) from None
        finally:
            body.close()

    def digest(self, key: str, tick: Callable[[], None]) -> str:
        """Return the SHA-256 of what is stored under a key."""
        found = hashlib.sha256()
        for block in self.read(key):
            found.update(block)
            tick()
        return found.hexdigest()

    def names(self) -> list[str]:
        """Return every key below the prefix."""
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self.ask("", "list_objects_v2", Prefix=self.place.prefix, **more)
            found += [str(item["Key"]).removeprefix(self.place.prefix) for item in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return found
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def remove(self, key: str) -> None:
        """Remove what is stored under a key."""
        self.ask(key, "delete_object", Key=self.place.prefix + key)

    def abort_stale(self) -> None:
        """Give up large files that a killed run began."""
        answer = self.ask("", "list_multipart_uploads", Prefix=self.place.prefix)
        for item in answer.get("Uploads", []):
            if datetime.now(UTC) - item["Initiated"] > STALE:
                self.abort(str(item["Key"]).removeprefix(self.place.prefix), item["UploadId"])


class RefusedError(StopError):
    """The bucket answered, and said no; `code` is its word for it."""

    def __init__(self, message: str, code: str) -> None:
        """Take the text and the code."""
        super().__init__(message)
        self.code = code
