"""What else lies where a recording is expected: damaged ones, other files under such names, odd names, no files."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tests.media.odd_recordings import Pictures, Sound, recordings, write

Expected = Literal["answer", "line", "either"]


@dataclass(frozen=True)
class Odd:
    """A path that a user may give; `expected`: an answer, one line that names it, or either of them."""

    path: Path
    expected: Expected

    @property
    def kind(self) -> str:
        """The name without what numbers it."""
        return self.path.name.split("_")[0].split(".")[0]


def write_odd(folder: Path) -> list[Odd]:
    """All of them, in a new folder."""
    found = [Odd(make(folder / name), "answer") for name, make in recordings().items()]
    for part in (_damaged, _lying_headers, _other_content, _names, _no_files):
        place = folder / part.__name__.strip("_")
        place.mkdir()
        found += part(place)
    return found


def _whole(folder: Path) -> dict[str, bytes]:
    """A second of each container."""
    streams = {"mp4": "libx264", "avi": "mpeg4", "mkv": "libx264", "mpg": "mpeg1video", "ts": "libx264", "flv": "flv"}
    made: dict[str, bytes] = {}
    for ending, codec in streams.items():
        sound = Sound("mp2" if ending == "mpg" else "aac", rate=44_100, seconds=1.0)
        fps = 25 if ending == "mpg" else 10
        path = write(folder / f"whole.{ending}", Pictures(codec, seconds=1.0, fps=fps), sound)
        made[ending] = path.read_bytes()
    for ending, codec in {"wav": "pcm_s16le", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}.items():
        path = write(folder / f"whole.{ending}", Sound(codec, rate=44_100, seconds=1.0))
        made[ending] = path.read_bytes()
    return made


def _damaged(folder: Path) -> Iterator[Odd]:
    rng = np.random.default_rng(7)
    for ending, content in _whole(folder).items():
        for percent in (1, 30, 60, 97):
            path = folder / f"cut_{percent}.{ending}"
            path.write_bytes(content[: len(content) * percent // 100])
            yield Odd(path, "either")
        for percent in (0, 20, 50, 90):
            path, changed = folder / f"flipped_{percent}.{ending}", bytearray(content)
            for _ in range(8):
                at = min(len(content) - 1, len(content) * percent // 100 + int(rng.integers(64)))
                changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            yield Odd(path, "either")
        path, changed = folder / f"zeros.{ending}", bytearray(content)
        changed[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
        path.write_bytes(changed)
        yield Odd(path, "either")
    mp4 = (folder / "whole.mp4").read_bytes()
    at = mp4.index(b"moov") - 4
    (folder / "without_moov.mp4").write_bytes(mp4[:at])
    yield Odd(folder / "without_moov.mp4", "line")
    ts = (folder / "whole.ts").read_bytes()
    (folder / "joined.ts").write_bytes(ts + ts)
    yield Odd(folder / "joined.ts", "answer")
    h264 = write(folder / "bare.h264", Pictures(seconds=1.0)).read_bytes()
    (folder / "no_key_frame.h264").write_bytes(h264[len(h264) // 2 :])
    yield Odd(folder / "no_key_frame.h264", "either")
    for path in folder.glob("whole.*"):
        path.unlink()


def _lying_headers(folder: Path) -> Iterator[Odd]:
    mp4 = write(folder / "a.mp4", Pictures(), Sound()).read_bytes()
    wav = write(folder / "a.wav", Sound("pcm_s16le")).read_bytes()
    (folder / "a.mp4").unlink()
    (folder / "a.wav").unlink()

    def patched(name: str, content: bytes, *changes: tuple[bytes, int, bytes]) -> Path:
        changed = bytearray(content)
        for atom, offset, value in changes:
            at = content.index(atom, max(0, content.find(b"moov"))) + offset
            changed[at : at + len(value)] = value
        (folder / name).write_bytes(changed)
        return folder / name

    durations = {"zero": 0, "huge": 0x7FFFFFFF}
    for name, value in durations.items():
        said = struct.pack(">I", value)
        headers = ((b"mvhd", 20, said), (b"tkhd", 24, said), (b"mdhd", 20, said))
        yield Odd(patched(f"duration_{name}.mp4", mp4, *headers), "either")
        yield Odd(patched(f"size_{name}.wav", wav, (b"data", 4, struct.pack("<I", value))), "either")
    yield Odd(patched("size_streamed.wav", wav, (b"data", 4, b"\xff" * 4), (b"RIFF", 4, b"\xff" * 4)), "answer")
    yield Odd(patched("rate_zero.wav", wav, (b"fmt ", 12, bytes(4))), "line")
    yield Odd(patched("channels_zero.wav", wav, (b"fmt ", 10, bytes(2))), "line")
    yield Odd(patched("channels_many.wav", wav, (b"fmt ", 10, b"\xff\xff")), "either")
    yield Odd(
        patched("unknown_codec.mp4", mp4, (b"avc1", 0, b"zzzz"), (b"mp4a", 0, b"yyyy"), (b"esds", 0, b"free")), "line"
    )
    yield Odd(patched("encrypted.mp4", mp4, (b"avc1", 0, b"encv"), (b"mp4a", 0, b"enca")), "either")
    yield Odd(patched("unknown_pictures.mp4", mp4, (b"avc1", 0, b"zzzz")), "answer")
    yield Odd(patched("unknown_codec.wav", wav, (b"fmt ", 8, b"\x34\x12")), "line")
    yield Odd(patched("wide.mp4", mp4, (b"avc1", 28, b"\xff\xff\xff\xff")), "either")
    for turns, matrix in {"90": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270": (0, -1, 1, 0)}.items():
        a, b, c, d = (struct.pack(">i", value << 16) for value in matrix)
        rows = a + b + bytes(4) + c + d + bytes(4)
        yield Odd(patched(f"rotated_{turns}.mp4", mp4, (b"tkhd", 44, rows)), "answer")


def _other_content(folder: Path) -> Iterator[Odd]:
    from PIL import Image

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.json"), io.BytesIO())
    rng = np.random.default_rng(3)
    weights = struct.pack("<Q", 20) + b'{"__metadata__": {}}'
    content = {
        "text.mp4": b"this is no media\n" * 40,
        "text.wav": "no media: ünïcödé 日本語\n".encode() * 40,
        "script.avi": b"#!/bin/sh\nexit 1\n",
        "table.mkv": b"audio,label\na.wav,happy\n" * 20,
        "manifest.mp4": json.dumps({"input": "a.mp4"}).encode(),
        "page.mp4": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.avi": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "session.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
        "subtitles.mp4": b"1\n00:00:00,000 --> 00:00:02,000\nhello\n",
        "document.mp4": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "office.mp4": packed.getvalue(),
        "shard.mp4": shard.getvalue(),
        "compressed.wav": gzip.compress(b"no media" * 99),
        "program.mp4": b"\x7fELF\x02\x01\x01" + bytes(600),
        "database.mp4": b"SQLite format 3\0" + bytes(600),
        "array.wav": b"\x93NUMPY\x01\0v\0{'descr': '<f4'}" + bytes(600),
        "weights.mp4": weights,
        "pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "random.mp4": rng.bytes(5000),
        "random.mp3": rng.bytes(5000),
        "random.raw": rng.bytes(5000),
        "zeros.wav": bytes(5000),
        "empty.mp4": b"",
        "byte.mp4": b"\0",
        "newline.wav": b"\n",
        "header.wav": b"RIFF\x24\0\0\0WAVEfmt ",
        "no_samples.wav": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\0\0\0\0",
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
        # Random bytes have frames of MPEG audio in them, once in a while.
        yield Odd(folder / name, "either" if name.startswith("random") else "line")
    for form in ("png", "jpeg", "bmp", "tiff", "webp"):
        Image.new("RGB", (8, 8)).save(folder / f"picture_{form}.mp4", format=form)
        yield Odd(folder / f"picture_{form}.mp4", "line")
    first, *more = (Image.new("RGB", (32, 32), (90 * k, 0, 0)) for k in range(3))
    first.save(folder / "moving.gif", save_all=True, append_images=more, duration=200)
    yield Odd(folder / "moving.gif", "answer")


def _names(folder: Path) -> Iterator[Odd]:
    good = write(folder / "good.wav", Sound("pcm_s16le")).read_bytes()
    named = [
        *("日本語 の 録音.wav", "аудио.wav", "صوت.wav", "😀.wav", "e\u0301.wav", "\u202egnp.wav"),
        *("new\nline.wav", "tab\t.wav", "-dash.wav", "--model.wav", " space .wav", "quote'\".wav", "100%d%s.wav"),
        *("a:b.wav", "concat:c.wav", "http:__d.wav", "pipe:0", "back\\slash.wav", "x" * 250 + ".wav", "*?[a].wav"),
        *("\x1b[31mred.wav", "no ending", "UPPER.WAV", "wrong.txt", "dots...wav", "&amp;<b>.wav", "$HOME;ls.wav"),
    ]
    for name in [*named, os.fsdecode(b"latin_\xe9.wav")]:
        (folder / name).write_bytes(good)
        yield Odd(folder / name, "answer")
    yield Odd(folder / "good.wav", "answer")


def _no_files(folder: Path) -> Iterator[Odd]:
    good = write(folder / "good.wav", Sound("pcm_s16le"))
    yield Odd(good, "answer")
    (folder / "link.wav").symlink_to(good)
    yield Odd(folder / "link.wav", "answer")
    (folder / "folder.wav").mkdir()
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    (folder / "dangling.wav").symlink_to(folder / "gone.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "null.wav").symlink_to("/dev/null")
    (folder / "kernel.wav").symlink_to("/proc/self/status")
    (folder / "to_folder.wav").symlink_to(folder)
    os.mkfifo(folder / "pipe.wav")
    served = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # a socket's whole path must be short
    try:
        served.bind("socket.wav")
    finally:
        os.chdir(here)
        served.close()
    made = [path for path in sorted(folder.iterdir()) if path.name not in ("good.wav", "link.wav")]
    for path in [*made, folder / "absent.wav", good / "below.wav", folder / ("y" * 300)]:
        yield Odd(path, "line")
