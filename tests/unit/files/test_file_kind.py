"""What a file is that stands under the name of another: by its first bytes, never by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.files.file_kind import other_kind


def picture(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, form)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return buffer.getvalue()


def workbook() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return buffer.getvalue()


KINDS = {
    "is a PNG picture": picture("PNG"),
    "is a JPEG picture": picture("JPEG"),
    "is a WebP picture": picture("WEBP"),
    "is a GIF picture": picture("GIF"),
    "is a tar archive": tar(),
    "is a gzip archive": gzip.compress(tar()),
    "is an xz archive": lzma.compress(tar()),
    "is a bzip2 archive": bz2.compress(tar()),
    "is a zip archive or an Office document": workbook(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_archives_and_pictures_are_called_what_they_are(tmp_path: Path, kind: str) -> None:
    (tmp_path / "clip.wav").write_bytes(KINDS[kind])
    assert other_kind(tmp_path / "clip.wav") == kind


@pytest.mark.parametrize("data", [b"", b"id,audio\n", b"RIFF\0\0\0\0WAVEfmt ", bytes(600), b"GIF"])
def test_text_sound_and_nothing_are_no_other_kind(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert other_kind(tmp_path / "a") is None
    assert other_kind(tmp_path / "absent") is None and other_kind(tmp_path) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "GIF" not in kind])
def test_media_that_cannot_be_read_are_called_so(tmp_path: Path, kind: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(KINDS[kind])
    with pytest.raises(UnreadableMedia, match=f"clip.mp4: {kind}, not audio or video"):
        probe(tmp_path / "clip.mp4")
