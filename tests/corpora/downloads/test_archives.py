# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Archives that unpack, archives that must not, and unpacking that was interrupted."""

import io
import os
import random
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from anyecg_hf.corpora.downloads import archives
from anyecg_hf.corpora.downloads.archives import extract
from anyecg_hf.corpora.downloads.download_errors import ArchiveError, StorageError

SIGNAL = random.Random(0).randbytes(100_000)
FILES = {"RECORDS": b"A1\n", "g1/A1.hea": b"A1 1 500 10\n", "g1/A1.dat": SIGNAL, "g1/ü e.dat": b""}
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("g1") if "g1/A1.hea" in files else None
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        members = [tar_member("./g1", type=tarfile.DIRTYPE)] if "g1/A1.hea" in files else []
        write_tar(path, [*members, *(tar_member(name, content) for name, content in files.items())])
    return path


def tar_member(name: str, content: bytes = b"", **fields) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip_entry(path: Path, name: str, content: bytes, mode: int) -> Path:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first", b"1")
        archive.writestr(info, content)
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    """Files by their path, without what is noted about them."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".anyecg-download" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def refused(archive: Path, destination: Path) -> str:
    """What the error says; checks that nothing was written."""
    with pytest.raises(ArchiveError) as error:
        extract(archive, destination)
    assert unpacked(destination) == {}
    assert str(error.value).startswith(f"{archive}: expected ")
    return str(error.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archives_of_every_kind_unpack(tmp_path, suffix):
    archive = write_archive(tmp_path / f"ecg{suffix}", FILES)
    assert extract(archive, tmp_path / "out" / "deep") == tmp_path / "out" / "deep"
    assert unpacked(tmp_path / "out" / "deep") == FILES


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_what_is_missing_or_short_is_written_again(tmp_path, suffix):
    archive, out = write_archive(tmp_path / f"ecg{suffix}", FILES), tmp_path / "out"
    extract(archive, out)
    for path in out.rglob("*.*"):
        os.utime(path, (1, 1))
    (out / "g1/A1.dat").unlink()
    (out / "RECORDS").write_bytes(b"")
    extract(archive, out)
    assert unpacked(out) == FILES
    assert (out / "g1/A1.hea").stat().st_mtime == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_finished_archive_is_not_opened_again_until_it_changes(tmp_path, suffix, monkeypatch):
    archive, out = write_archive(tmp_path / f"ecg{suffix}", FILES), tmp_path / "out"
    extract(archive, out)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_open", None)
        extract(archive, out)
    changed = FILES | {"RECORDS": b"A2\n"}
    write_archive(archive, changed)
    os.utime(archive, (1, 1))
    extract(archive, out)
    assert unpacked(out) == changed


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n_written", [0, 1, 2, 3])
def test_an_interrupted_unpacking_goes_on(tmp_path, suffix, n_written, monkeypatch):
    archive, out = write_archive(tmp_path / f"ecg{suffix}", FILES), tmp_path / "out"
    write, written = archives._write, []

    def interrupted(reader, stream, entry, *rest):
        if len(written) == n_written:
            raise KeyboardInterrupt
        written.append(entry.path)
        write(reader, stream, entry, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archives, "_write", interrupted)
        extract(archive, out)
    assert unpacked(out) == {path: FILES[path] for path in written}
    extract(archive, out)
    assert unpacked(out) == FILES


def test_files_from_elsewhere_do_not_pass_for_files_of_the_archive(tmp_path, monkeypatch):
    archive, out = write_archive(tmp_path / "ecg.zip", FILES), tmp_path / "out"
    (out / "g1").mkdir(parents=True)
    (out / "RECORDS").write_bytes(b"??\n")
    (out / "g1/mine.txt").write_bytes(b"mine")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(archives, "_write", lambda *_: 1 / 0)
        extract(archive, out)
    extract(archive, out)
    assert unpacked(out) == FILES | {"g1/mine.txt": b"mine"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "C:/evil", "a\\evil", "a//b", "a\nb"])
def test_paths_that_lead_outside_are_refused(tmp_path, suffix, path):
    archive = write_archive(tmp_path / f"ecg{suffix}", FILES | {path: b"evil"})
    message = refused(archive, tmp_path / "in" / "out")
    assert "expected relative paths that stay below their folder" in message
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_folder_of_notes_is_not_written(tmp_path, suffix):
    archive = write_archive(tmp_path / f"ecg{suffix}", {".Anyecg-download/verified.tsv": b"1"})
    assert "expected no files in .anyecg-download/" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("target", ["../../evil", "/etc/passwd", "../.."])
def test_links_that_lead_outside_are_refused(tmp_path, target):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        archive = write_tar(tmp_path / "a.tar.gz", [tar_member("a/link", type=kind, linkname=target)])
        assert f"expected links that stay inside, found 'a/link' to '{target}" in refused(
            archive, tmp_path / "out"
        ).replace("a/../", "../")
    archive = write_zip_entry(tmp_path / "a.zip", "link", target.encode(), stat.S_IFLNK | 0o777)
    assert "expected links that stay inside" in refused(archive, tmp_path / "out")


def test_links_inside_become_copies(tmp_path):
    members = [
        tar_member("b/first", type=tarfile.SYMTYPE, linkname="second"),
        tar_member("b/second", type=tarfile.SYMTYPE, linkname="../a/file"),
        tar_member("a/file", b"content"),
        tar_member("hard", type=tarfile.LNKTYPE, linkname="./a/file"),
    ]
    extract(write_tar(tmp_path / "a.tar", members), tmp_path / "tar")
    assert unpacked(tmp_path / "tar") == dict.fromkeys(["b/first", "b/second", "a/file", "hard"], b"content")
    assert not any(path.is_symlink() for path in (tmp_path / "tar").rglob("*"))
    extract(write_zip_entry(tmp_path / "a.zip", "b/link", b"../first", stat.S_IFLNK | 0o777), tmp_path / "zip")
    assert unpacked(tmp_path / "zip") == {"first": b"1", "b/link": b"1"}


def test_links_to_folders_to_nothing_and_in_circles_are_refused(tmp_path):
    file = tar_member("a/file", b"content")
    circle = [tar_member(one, type=tarfile.SYMTYPE, linkname=other) for one, other in (("x", "y"), ("y", "x"))]
    for members in ([tar_member("x", type=tarfile.SYMTYPE, linkname="a")], circle, circle[:1]):
        archive = write_tar(tmp_path / "a.tar", [file, *members])
        assert "expected links to files of the archive, found 'x' to " in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_are_refused(tmp_path, kind):
    archive = write_tar(tmp_path / "a.tar", [tar_member("file", b"1"), tar_member("dev", type=kind)])
    assert "expected files, folders and links, found a device, 'dev'" in refused(archive, tmp_path / "out")
    archive = write_zip_entry(tmp_path / "a.zip", "dev", b"", stat.S_IFCHR | 0o600)
    assert "found a device, 'dev'" in refused(archive, tmp_path / "out")


def test_encrypted_files_are_refused(tmp_path):
    archive = write_archive(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "found an encrypted file, 'a'" in refused(archive, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_path_twice_is_refused(tmp_path, suffix):
    archive = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("a", b"1")
            opened.writestr("a", b"2")
    else:
        write_tar(archive, [tar_member("a", b"1"), tar_member("./a", b"2")])
    assert "expected each path once, found 'a' twice" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_is_cut_anywhere_is_refused(tmp_path, suffix):
    content = write_archive(tmp_path / f"whole{suffix}", FILES).read_bytes()
    archive = tmp_path / f"cut{suffix}"
    # Two blocks of zeros end a tar, which is padded to 20 blocks.
    n_bytes = len(content.rstrip(b"\0")) if suffix == ".tar" else len(content)
    for length in [0, 1, 4, 100, 512, 1024, 1536, n_bytes // 2, n_bytes - 600, n_bytes - 20, n_bytes - 4, n_bytes - 1]:
        archive.write_bytes(content[:length])
        message = refused(archive, tmp_path / "out")
        assert "expected a complete archive, found damage (" in message
        assert message.endswith("Remove it and fetch it again.")


def test_a_tar_that_is_cut_between_two_files_is_refused(tmp_path):
    content = write_tar(tmp_path / "a.tar", [tar_member("a", b"1" * 512), tar_member("b", b"2" * 512)]).read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:1024])
    assert "found damage (no header or end mark at byte 1024)" in refused(tmp_path / "a.tar", tmp_path / "out")


def test_a_damaged_header_inside_a_tar_is_not_taken_for_its_end(tmp_path):
    content = bytearray(write_tar(tmp_path / "a.tar", [tar_member("a", b"1" * 512), tar_member("b")]).read_bytes())
    content[1024 + 10] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    assert "found damage (no header or end mark at byte 1024)" in refused(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_flipped_bit_is_found(tmp_path, suffix):
    archive = write_archive(tmp_path / f"a{suffix}", {"only": os.urandom(3000)})
    content = bytearray(archive.read_bytes())
    content[1500] ^= 1
    archive.write_bytes(content)
    assert "expected a complete archive, found damage (" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("stated", [9, 20_000])
def test_a_zip_with_another_size_than_it_states_is_stopped(tmp_path, stated):
    archive = write_archive(tmp_path / "a.zip", {"bomb": b"0" * 10_000})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, stated)
    archive.write_bytes(content)
    message = refused(archive, tmp_path / "out")
    assert "found damage (Bad CRC-32" in message or f"expected {stated} bytes of 'bomb', as it says" in message


def test_more_than_stated_is_neither_read_nor_written(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "a.tar", {"bomb": b"0" * 100})
    monkeypatch.setattr(archives, "CHUNK_BYTES", 80)
    monkeypatch.setattr(tarfile.TarFile, "extractfile", lambda *_: io.BytesIO(b"0" * 5000))
    message = refused(archive, tmp_path / "out")
    assert "expected 100 bytes of 'bomb', as it says, found more than 160" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_larger_than_the_disk_is_refused(tmp_path, suffix, monkeypatch):
    archive = write_archive(tmp_path / f"a{suffix}", FILES)
    n_bytes = sum(map(len, FILES.values()))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=n_bytes - 1))
    message = refused(archive, tmp_path / "out")
    assert f"expected files for the {n_bytes - 1} bytes that are free, found at least {n_bytes} bytes" in message


def test_files_that_are_there_need_no_room(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "a.zip", FILES)
    extract(archive, tmp_path)
    (tmp_path / "RECORDS").unlink()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3))
    extract(archive, tmp_path)
    assert (tmp_path / "RECORDS").read_bytes() == FILES["RECORDS"]


def test_whatever_is_no_archive_is_an_error(tmp_path):
    assert "expected an archive, found no such file" in refused(tmp_path / "no.zip", tmp_path / "out")
    (tmp_path / "a.zip").write_text("<html>Log in</html>" * 100)
    assert "expected a complete archive, found damage (" in refused(tmp_path / "a.zip", tmp_path / "out")
    assert "expected at least one file, found none" in refused(write_archive(tmp_path / "b.zip", {}), tmp_path / "out")
    assert "expected at least one file, found none" in refused(write_archive(tmp_path / "b.tar", {}), tmp_path / "out")


def test_a_destination_that_is_a_file_is_an_error(tmp_path):
    archive = write_archive(tmp_path / "a.zip", FILES)
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StorageError, match="expected that it can be read and written, found Not a directory"):
        extract(archive, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"
