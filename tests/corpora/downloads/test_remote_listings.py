# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What PhysioNet, Zenodo and figshare list, from a server on this machine that answers as they do."""

import hashlib
import json

import pytest
from tests.corpora.downloads.corpus_server import CorpusServer, quick_downloader

from anyecg_hf.corpora.downloads import remote_listings
from anyecg_hf.corpora.downloads.downloading import Checksum, DownloadError, MissingRemoteFileError
from anyecg_hf.corpora.downloads.remote_listings import FigshareListing, PhysioNetListing, ZenodoListing

HEADER = "{name} 1 500 10\n{name}.mat 16x1:0+24 1000/mV 16 0 0 0 0 I\n"
CORPUS = {
    "LICENSE.txt": "free",
    "RECORDS": "g1/A1\ng1/A ü\n",
    "g1/A1.hea": HEADER.format(name="A1"),
    "g1/A1.mat": "1",
    "g1/A ü.hea": HEADER.format(name="A ü"),
    "g1/A ü.mat": "2",
}


@pytest.fixture
def server(monkeypatch):
    with CorpusServer() as server:
        monkeypatch.setenv("ANYECG_CORPORA_MIRROR", f"{server.url}/mirror/")
        yield server


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def serve_physionet(server: CorpusServer, files: dict[str, str], root: str = "mirror/physionet/ecg/1.0.0") -> None:
    for path, text in files.items():
        server.serve(f"{root}/{path}", text)


def serve_sums(server: CorpusServer, text: str) -> None:
    serve_physionet(server, {"SHA256SUMS.txt": text})


def test_physionet_lists_files_with_their_checksums_and_all_of_it_comes(server, tmp_path):
    serve_physionet(server, CORPUS)
    serve_sums(server, "".join(f"{sha256(text)} {path}\n" for path, text in CORPUS.items()))
    downloader = quick_downloader(tmp_path)
    files = PhysioNetListing("ecg", "1.0.0", include=("*.hea", "*.mat")).files(downloader)
    assert [file.path for file in files] == ["g1/A1.hea", "g1/A1.mat", "g1/A ü.hea", "g1/A ü.mat"]
    assert files[3].url == f"{server.url}/mirror/physionet/ecg/1.0.0/g1/A%20%C3%BC.mat"
    assert files[3].checksum == Checksum("sha256", sha256("2"))
    paths = downloader.fetch_all(files, "ecg")
    assert [path.read_text(encoding="utf-8") for path in paths] == [CORPUS[file.path] for file in files]

    server.asked.clear()
    again = quick_downloader(tmp_path)
    again.fetch_all(PhysioNetListing("ecg", "1.0.0", include=("*.hea", "*.mat")).files(again), "ecg")
    assert server.asked == []


def test_all_spellings_of_a_checksum_line_are_understood(server, tmp_path):
    serve_sums(server, f"{'a' * 64} 1 x.dat\r\n{'B' * 64}  2.dat\n\n{'c' * 64} *3.dat\n{'d' * 64}  ./4/5.dat")
    files = PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path))
    assert [file.path for file in files] == ["1 x.dat", "2.dat", "3.dat", "4/5.dat"]
    assert [file.checksum.digest[0] for file in files] == list("abcd")


@pytest.mark.parametrize(
    ("include", "paths"),
    [
        (("*.hea",), ["a/1.hea", "a/b/2.hea", "3.hea"]),
        (("a/*.hea",), ["a/1.hea", "a/b/2.hea"]),
        (("3.hea", "a/b/*"), ["a/b/2.hea", "3.hea"]),
        (("[0-9].hea",), ["3.hea"]),
    ],
)
def test_patterns_are_of_whole_paths_and_case_counts(server, tmp_path, include, paths):
    serve_sums(server, "".join(f"{'0' * 64} {path}\n" for path in ("a/1.hea", "a/b/2.hea", "3.hea", "4.HEA")))
    files = PhysioNetListing("ecg", "1.0.0", include=include).files(quick_downloader(tmp_path))
    assert [file.path for file in files] == paths


def test_patterns_without_a_file_are_told_and_no_file_at_all_is_an_error(server, tmp_path, caplog):
    serve_sums(server, f"{'0' * 64} a.hea\n")
    listing = PhysioNetListing("ecg", "1.0.0", include=("*.hea", "*.mat", "notes.csv"))
    assert len(listing.files(quick_downloader(tmp_path))) == 1
    assert "SHA256SUMS.txt: no file like *.mat, notes.csv." in caplog.text
    with pytest.raises(
        DownloadError, match=r"expected files like \*.dat, found none. Check the version of the corpus."
    ):
        PhysioNetListing("ecg", "1.0.0", include=("*.dat",)).files(quick_downloader(tmp_path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no lines"),
        ("<!DOCTYPE html><title>Log in</title>", "a web page: '<!DOCTYPE html>"),
        (f"{'0' * 63} a.hea", "no line of a checksum and a path: '000"),
        (f"{'0' * 64} a.hea\n{'0' * 30}", "no line of a checksum and a path: '000"),
    ],
)
def test_a_broken_list_is_an_error_and_not_kept(server, tmp_path, text, found):
    serve_sums(server, text)
    with pytest.raises(DownloadError, match="SHA256SUMS.txt: expected a list of files, found something else") as error:
        PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path))
    assert found in str(error.value)
    serve_sums(server, f"{'0' * 64} a.hea")
    assert len(PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path))) == 1


@pytest.mark.parametrize("path", ["../a.hea", "/etc/passwd", "a/../../b.hea", "C:/a.hea", "a\\b.hea"])
def test_a_list_that_leads_outside_is_refused(server, tmp_path, path):
    serve_sums(server, f"{'0' * 64} {path}\n")
    with pytest.raises(DownloadError, match="expected relative paths that stay below their folder"):
        PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path))


def test_a_path_with_two_checksums_is_refused(server, tmp_path):
    serve_sums(server, f"{'0' * 64} a.hea\n{'0' * 64} a.hea\n")
    assert len(PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path))) == 1
    serve_sums(server, f"{'0' * 64} a.hea\n{'1' * 64} a.hea\n")
    with pytest.raises(DownloadError, match="expected one file 'a.hea', found two that differ"):
        PhysioNetListing("ecg", "1.0.0").files(quick_downloader(tmp_path / "other"))


def test_without_checksums_records_headers_and_annotators_tell_the_files(server, tmp_path, caplog):
    serve_physionet(
        server,
        {
            "RECORDS": "s1/\nlong\n",
            "s1/RECORDS": "A1\nbroken\n",
            "ANNOTATORS": "atr\treference beats\nqrs\tdetected beats\n",
            "s1/A1.hea": "A1 3 500 10\nA1.dat 16\nA1.dat 16\nA1.xyz 16\n",
            "s1/broken.hea": "broken 2 500",
            "long.hea": "long/4 1 500 40\nlong_1 10\n~ 10\nlong_2 10\nlong 10\n",
            "long_1.hea": "long_1 1 500 10\n~ 0\n",
            "long_2.hea": "long_2 1 500 10\nlong_2.dat 16\n",
            "info.csv": "1",
        },
    )
    listing = PhysioNetListing("ecg", "1.0.0", include=("*.hea", "*.dat", "*.xyz", "*.atr", "info.csv"))
    files = listing.files(quick_downloader(tmp_path))
    assert {file.path for file in files} == {
        *("info.csv", "s1/A1.hea", "s1/A1.dat", "s1/A1.xyz", "s1/A1.atr", "s1/broken.hea", "s1/broken.atr"),
        *("long.hea", "long.atr", "long_1.hea", "long_1.atr", "long_2.hea", "long_2.dat", "long_2.atr"),
    }
    assert all(file.checksum is None for file in files)
    assert "SHA256SUMS.txt: there is none. The files are found through RECORDS, and none of them can be" in caplog.text
    assert (
        "broken.hea: expected 2 signal lines, as its first line says, found 0. Its signal files are not" in caplog.text
    )


def test_without_checksums_only_the_records_that_are_asked_for_are_looked_at(server, tmp_path):
    serve_physionet(server, CORPUS)
    files = PhysioNetListing("ecg", "1.0.0", include=("g1/A1.*",)).files(quick_downloader(tmp_path))
    assert [file.path for file in files] == ["g1/A1.hea", "g1/A1.mat"]
    assert "mirror/physionet/ecg/1.0.0/g1/A ü.hea" not in server.paths()


def test_a_project_that_is_not_there_is_an_error(server, tmp_path):
    with pytest.raises(MissingRemoteFileError, match="physionet/ecg/9.9/RECORDS: expected a file, found 404 Not Found"):
        PhysioNetListing("ecg", "9.9").files(quick_downloader(tmp_path))


def test_a_base_url_wins_over_the_mirror_and_both_over_the_official_site(server, tmp_path, monkeypatch):
    serve_physionet(server, {"SHA256SUMS.txt": f"{'0' * 64} a.hea"}, root="other/ecg/1.0.0")
    listing = PhysioNetListing("ecg", "1.0.0", base_url=f"{server.url}/other/")
    (file,) = listing.files(quick_downloader(tmp_path))
    assert file.url == f"{server.url}/other/ecg/1.0.0/a.hea"
    monkeypatch.delenv("ANYECG_CORPORA_MIRROR")
    assert PhysioNetListing("ecg", "1.0.0")._url("a b") == "https://physionet.org/files/ecg/1.0.0/a%20b"


def zenodo_answer(server: CorpusServer, files: dict[str, str]) -> str:
    entries = [
        {
            "key": key,
            "size": len(text),
            "checksum": f"md5:{md5(text)}",
            "links": {"self": f"{server.url}/zenodo/{number}/content"},
        }
        for number, (key, text) in enumerate(files.items())
    ]
    return json.dumps({"id": 12, "files": entries})


def test_zenodo_lists_files_with_sizes_and_checksums_and_all_of_it_comes(server, tmp_path, monkeypatch):
    files = {"exams part0.zip": "zip", "exams.csv": "", "notes.txt": "no"}
    monkeypatch.delenv("ANYECG_CORPORA_MIRROR")
    monkeypatch.setattr(remote_listings, "ZENODO_URL", f"{server.url}/api")
    server.serve("api/records/12", zenodo_answer(server, files))
    server.serve("zenodo/0/content", "zip")
    server.serve("zenodo/1/content", "")
    downloader = quick_downloader(tmp_path)
    listed = ZenodoListing(12, include=("*.zip", "exams.csv")).files(downloader)
    assert [(file.path, file.size, file.checksum.digest) for file in listed] == [
        ("exams part0.zip", 3, md5("zip")),
        ("exams.csv", 0, md5("")),
    ]
    assert [path.read_text() for path in downloader.fetch_all(listed, "zenodo")] == ["zip", ""]


def test_a_mirror_of_zenodo_is_not_left_for_zenodo(server, tmp_path):
    server.serve("mirror/zenodo/records/12", zenodo_answer(server, {"exams part0.zip": "zip"}))
    server.serve("mirror/zenodo/records/12/files/exams part0.zip/content", "zip")
    downloader = quick_downloader(tmp_path)
    (file,) = ZenodoListing(12).files(downloader)
    assert file.url == f"{server.url}/mirror/zenodo/records/12/files/exams%20part0.zip/content"
    assert downloader.fetch(file).read_text() == "zip"


@pytest.mark.parametrize(
    "answer", ['{"status": 410}', "[]", '{"files": [{"key": "a"}]}', "<html>", "null", '{"files": 1}']
)
def test_an_answer_of_zenodo_that_is_no_list_is_an_error_and_not_kept(server, tmp_path, answer):
    server.serve("mirror/zenodo/records/12", answer)
    with pytest.raises(DownloadError, match="records/12: expected a list of files, found something else"):
        ZenodoListing(12).files(quick_downloader(tmp_path))
    assert not (tmp_path / "zenodo_12.json").exists()


def test_a_checksum_that_is_none_is_an_error(server, tmp_path):
    answer = zenodo_answer(server, {"a": "zip"}).replace(md5("zip"), "unknown")
    server.serve("mirror/zenodo/records/12", answer)
    with pytest.raises(DownloadError, match="expected 32 hexadecimal digits of md5, found 'unknown'"):
        ZenodoListing(12).files(quick_downloader(tmp_path))


def serve_figshare(server: CorpusServer, articles: dict[int, dict[str, str]], size: int, root: str) -> None:
    """Articles and their files, in pages of `size`."""
    serve_pages(server, f"{root}/collections/7/articles", [{"id": article} for article in articles], size)
    for article, files in articles.items():
        entries = [figshare_entry(server, article, name, text) for name, text in files.items()]
        serve_pages(server, f"{root}/articles/{article}/files", entries, size)


def figshare_entry(server: CorpusServer, article: int, name: str, text: str) -> dict:
    number = int(md5(f"{article}/{name}")[:6], 16)
    url = server.serve(f"files/{number}", text)
    server.serve(f"mirror/figshare/files/{number}", text)
    is_link = name.startswith("http")
    entry = {"id": number, "name": name, "size": len(text), "download_url": url, "is_link_only": is_link}
    return entry | {"computed_md5": "" if is_link else md5(text), "supplied_md5": ""}


def serve_pages(server: CorpusServer, path: str, entries: list[dict], size: int) -> None:
    for page in range(len(entries) // size + 1):
        text = json.dumps(entries[page * size : (page + 1) * size])
        server.serve(f"{path}?page={page + 1}&page_size={size}", text)


@pytest.mark.parametrize("n_articles", [1, 2, 3, 4])
def test_figshare_lists_the_files_of_all_articles_page_by_page(server, tmp_path, monkeypatch, n_articles):
    monkeypatch.delenv("ANYECG_CORPORA_MIRROR")
    monkeypatch.setattr(remote_listings, "FIGSHARE_URL", f"{server.url}/v2")
    monkeypatch.setattr(remote_listings, "FIGSHARE_PAGE_SIZE", 2)
    articles = {
        number: {f"{number}_{n}.csv": f"{number}{n}" for n in range(number)} for number in range(1, n_articles + 1)
    }
    serve_figshare(server, articles | {9: {"http://elsewhere": "", "x.pdf": "x"}}, 2, "v2")
    downloader = quick_downloader(tmp_path)
    files = FigshareListing(7, include=("*.csv",)).files(downloader)
    assert [file.path for file in files] == [name for article in articles.values() for name in article]
    assert files[0].size == 2
    assert files[0].checksum == Checksum("md5", md5("10"))
    assert [path.read_text() for path in downloader.fetch_all(files, "figshare")] == [
        text for article in articles.values() for text in article.values()
    ]


def test_a_mirror_of_figshare_is_not_left_and_may_ignore_page_numbers(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_listings, "FIGSHARE_PAGE_SIZE", 1)
    entry = figshare_entry(server, 1, "metadata.csv", "1")
    server.serve("mirror/figshare/collections/7/articles", '[{"id": 1}]')
    server.serve("mirror/figshare/articles/1/files", json.dumps([entry]))
    downloader = quick_downloader(tmp_path)
    (file,) = FigshareListing(7).files(downloader)
    assert file.url == f"{server.url}/mirror/figshare/files/{entry['id']}"
    assert downloader.fetch(file).read_text() == "1"


def test_a_name_in_two_articles_is_refused_unless_both_are_the_same(server, tmp_path):
    serve_figshare(server, {1: {"a.csv": "1"}, 2: {"a.csv": "1"}}, 1000, "mirror/figshare")
    assert len(FigshareListing(7).files(quick_downloader(tmp_path))) == 1
    serve_figshare(server, {1: {"a.csv": "1"}, 2: {"a.csv": "2"}}, 1000, "mirror/figshare")
    with pytest.raises(DownloadError, match="expected one file 'a.csv', found two that differ, .*/files/"):
        FigshareListing(7).files(quick_downloader(tmp_path / "other"))


@pytest.mark.parametrize("answer", ['{"message": "no"}', '[{"title": "no id"}]', "null", "[1]"])
def test_an_answer_of_figshare_that_is_no_list_is_an_error(server, tmp_path, answer):
    server.serve("mirror/figshare/collections/7/articles", answer)
    with pytest.raises(
        DownloadError, match="articles.page=1&page_size=1000: expected a list of files, found something"
    ):
        FigshareListing(7).files(quick_downloader(tmp_path))
