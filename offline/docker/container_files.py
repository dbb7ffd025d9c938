"""Packs the files that are uploaded into a container before it starts."""

from __future__ import annotations

import base64
import binascii
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from offline.docker.reading import flag_of, text_of
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties

EXECUTABLE, PLAIN = 0o744, 0o644


def archive(uploads: Sequence[Properties], folder: Path) -> bytes:
    """Return uploads as one tar archive, owned by root; raise PluginError for contents that are none or too many.

    A `source` that is relative is looked for below `folder`.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for upload in uploads:
            content = _content(upload, folder)
            permissions = text_of(upload, "permissions")
            member = tarfile.TarInfo(text_of(upload, "file").lstrip("/"))
            member.size = len(content)
            member.mode = int(permissions, 8) if permissions else EXECUTABLE if flag_of(upload, "executable") else PLAIN
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _content(upload: Properties, folder: Path) -> bytes:
    text, encoded, source = (text_of(upload, key) for key in ("content", "contentBase64", "source"))
    given = sum(1 for value in (text, encoded, source) if value)
    if given == 0:
        raise PluginError("error with upload content: one of 'content', 'content_base64', or 'source' must be set")
    if given > 1:
        raise PluginError("error with upload content: only one of 'content', 'content_base64', or 'source' can be set")
    if text:
        return text.encode()
    if encoded:
        try:
            return base64.b64decode(encoded)
        except binascii.Error as error:
            raise PluginError(f"error with upload content: {text_of(upload, 'file')}: {error}") from None
    try:
        return (folder / source).read_bytes()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise PluginError(f"could not read file: open {source}: {reason}") from None
