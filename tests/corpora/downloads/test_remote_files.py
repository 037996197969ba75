# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Paths, URLs and checksums that are taken, and those that are not."""

import pickle

import pytest

from anyecg_hf.corpora.downloads.download_errors import ArchiveError, DownloadError, MissingRemoteFileError
from anyecg_hf.corpora.downloads.remote_files import Checksum, RemoteFile, check_path

URL = "https://example.org/a"


@pytest.mark.parametrize("path", ["a", "a/b.dat", "..a/b..", ".hidden", "a b/ü/心电图", "ab:c", "a.part/b", "-", "~"])
def test_paths_below_the_root_are_taken(path):
    assert RemoteFile(path, URL).path == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "//host/share", "..", "../a", "a/../../b", "a/..", "./a", "a/./b", "a//b", "a/"),
        *("C:/a", "c:a", "a\\b", "..\\a", "\\\\host\\share", "a\0b", "a\nb", "a\tb", "a\x7f", "a\x85b", "a\udcff"),
    ],
)
def test_paths_that_could_lead_elsewhere_are_refused(path):
    with pytest.raises(DownloadError) as error:
        RemoteFile(path, URL)
    assert str(error.value).startswith(f"{URL}: expected relative paths that stay below their folder, found ")
    assert ascii(path) in str(error.value)
    with pytest.raises(ArchiveError, match="a.zip: expected relative paths"):
        check_path(path, "a.zip", ArchiveError)


@pytest.mark.parametrize("path", [".anyecg-download/verified.tsv", ".AnyECG-Download/a", "a.part"])
def test_names_that_the_downloads_use_themselves_are_refused(path):
    with pytest.raises(DownloadError, match="expected names outside .anyecg-download/, not ending in .part, found"):
        RemoteFile(path, URL)


@pytest.mark.parametrize("url", ["ftp://example.org/a", "file:///etc/passwd", "example.org/a", "https:///a", ""])
def test_urls_that_are_not_of_the_web_are_refused(url):
    with pytest.raises(DownloadError, match="expected an https or http URL without a password"):
        RemoteFile("a", url)


def test_a_url_with_a_password_is_refused_and_not_repeated():
    with pytest.raises(DownloadError, match="^https://example.org/a: expected") as error:
        RemoteFile("a", "https://me:secret@example.org/a")
    assert "secret" not in str(error.value)


def test_a_checksum_is_of_a_known_kind_and_a_full_length():
    assert str(Checksum("md5", "0A" * 16)) == f"md5:{'0a' * 16}"
    with pytest.raises(ValueError, match="expected a checksum by sha256 or md5, found 'crc32'"):
        Checksum("crc32", "0" * 8)
    for digest in ("0" * 63, "g" * 64, "0" * 65):
        with pytest.raises(ValueError, match="expected 64 hexadecimal digits of sha256"):
            Checksum("sha256", digest)


def test_a_file_on_disk_is_told_right_from_wrong(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    md5 = Checksum("md5", "900150983cd24fb0d6963f7d28e17f72")
    assert Checksum("md5", "0" * 32).of_file(path) == md5
    assert RemoteFile("a", URL, 3, md5).mismatch(path) is None
    assert RemoteFile("a", URL, 4, md5).mismatch(path) == "3 bytes"
    assert RemoteFile("a", URL, 3, Checksum("md5", "0" * 32)).mismatch(path) == f"{md5} in 3 bytes"
    assert RemoteFile("a", URL, 3, md5).expectation() == f"{md5} in 3 bytes"
    assert not RemoteFile("a", URL).is_checkable


def test_errors_survive_the_way_home_from_another_process():
    error = MissingRemoteFileError(URL, "a file", "404", "Look.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is MissingRemoteFileError
    assert isinstance(copy, OSError)
    assert str(copy) == f"{URL}: expected a file, found 404. Look."
    assert str(DownloadError(URL, "a", "b")) == f"{URL}: expected a, found b."
