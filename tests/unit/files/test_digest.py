"""Digests of files: one hash each, by name; and a manifest lists no file out of its own folder, whoever wrote it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import (
    Algorithm,
    FileDigest,
    FileDigests,
    HashingWriter,
    find_damage,
    find_damages,
    hash_file,
)

DIGEST = {"bytes": 0, "sha256": "0" * 64}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..", "a\0b"])
def test_a_path_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is outside the folder"):
        TypeAdapter(FileDigests).validate_python({name: DIGEST})


def test_paths_within_are_kept() -> None:
    assert set(TypeAdapter(FileDigests).validate_python({"a/b.pt": DIGEST, "..a": DIGEST})) == {"a/b.pt", "..a"}


# Of the algorithms' own test vectors: no bytes, and "abc".
BLAKE3 = {
    b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    b"abc": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
}


@pytest.mark.parametrize("content", BLAKE3)
def test_what_is_written_is_hashed_as_what_is_read(content: bytes, tmp_path: Path) -> None:
    file = HashingWriter(tmp_path / "x")
    file.write(content)
    digest = file.finish()
    assert digest.model_dump(mode="json") == {"bytes": len(content), "blake3": BLAKE3[content]}
    assert hash_file(tmp_path / "x", "blake3") == digest
    assert find_damage(tmp_path / "x", digest) is None


def test_a_digest_of_before_stays_as_it_was_written() -> None:
    assert FileDigest.model_validate(DIGEST).model_dump(mode="json") == DIGEST


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_a_changed_byte_is_found_by_the_hash_that_the_file_has(algorithm: Algorithm, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"content")
    digest = hash_file(file, algorithm)
    assert find_damage(file, digest) is None
    file.write_bytes(b"c0ntent")
    assert find_damage(file, digest) == "x has other content than was written"


@pytest.mark.parametrize("hashes", [{}, {"sha256": "0" * 64, "blake3": "0" * 64}, {"blake3": "0" * 63}, {"md5": "0"}])
def test_a_file_has_one_hash(hashes: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FileDigest.model_validate({"bytes": 0, **hashes})


def test_without_the_package_only_what_needs_it_fails_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(EnvironmentFault, match="pip install blake3"):
        HashingWriter(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x").sha256 == hashlib.sha256(b"abc").hexdigest()


def test_all_damage_of_a_folder_is_found_in_the_order_of_names(tmp_path: Path) -> None:
    files = {f"{number:02}": bytes([number]) * (1 << 12) for number in range(20)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = {name: hash_file(tmp_path / name, "blake3" if int(name) % 2 else "sha256") for name in reversed(files)}
    assert find_damages(tmp_path, expected) == [] == find_damages(tmp_path, {})
    (tmp_path / "03").write_bytes(files["04"])
    (tmp_path / "08").unlink()
    (tmp_path / "13").write_bytes(b"")
    assert find_damages(tmp_path, expected) == [
        "03 has other content than was written",
        "08 is missing",
        "13 has 0 bytes instead of 4096",
    ]
