"""Artifacts in a bucket of Amazon S3, or of anything that speaks its protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import Boto3ArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from runner.errors import UserError
from sweeps.artifacts.errors import BackendError

try:
    import boto3.session
    from boto3.exceptions import Boto3Error
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError as error:
    raise UserError("artifacts in s3:// need the Python package boto3: pip install boto3") from error


class Bucket:
    """An S3 bucket, under a prefix. Keys, region and endpoint come from boto3's own environment and files.

    ``AWS_ENDPOINT_URL_S3`` names another server than Amazon's.

    Args:
        where: ``s3://BUCKET/PREFIX``.

    Raises:
        UserError: the bucket is not there, may not be used, or can't be reached.
    """

    def __init__(self, where: str) -> None:
        bucket, _, prefix = where.removeprefix("s3://").partition("/")
        self.where, self._bucket = where, bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 5, "mode": "standard"},
            # we check SHA-256 ourselves, and many servers other than Amazon's don't know these checksums
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            with self._explained("use"):
                self._client = boto3.session.Session().client("s3", config=config)
                self._client.head_bucket(Bucket=bucket)
        except BackendError as error:
            raise UserError(str(error)) from error
        # without the copy a checkpoint is sent in pieces, not read into memory whole; it closes what it is given
        self._store = Boto3ArtifactStore(bucket, self._client, avoid_buf_copy=True)

    def take(self, file: Path, artifact_id: str) -> None:
        """Sends the file; the object is there, whole, when this returns."""
        with file.open("rb") as source, self._explained("write to"):
            self._store.write(self._prefix + artifact_id, source)

    def open_at(self, artifact_id: str, offset: int) -> BinaryIO:
        """A stream from a byte on; only those bytes travel."""
        with self._explained("read"):
            if not offset:
                return self._store.open_reader(self._prefix + artifact_id)
            key = self._prefix + artifact_id
            body: BinaryIO = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={offset}-")["Body"]
            return body

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """As Optuna calls it."""
        return self.open_at(artifact_id, 0)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """As Optuna calls it."""
        with self._explained("write to"):
            self._store.write(self._prefix + artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Deletes an object, if it is there."""
        with self._explained("delete from"), contextlib.suppress(ArtifactNotFound):
            self._store.remove(self._prefix + artifact_id)

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404 and verb in ("read", "delete from"):
                raise ArtifactNotFound("not found") from error
            why = {403: "access is denied", 404: "there is no such bucket"}.get(status) or _line(error)
            raise BackendError(f"cannot {verb} {self.where}: {why}") from error
        except (BotoCoreError, Boto3Error, ValueError) as error:  # the last: an endpoint that is no URL
            raise BackendError(f"cannot {verb} {self.where}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
