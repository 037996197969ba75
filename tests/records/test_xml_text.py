# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""XML: root elements in the first bytes of files in every encoding, and documents that are dangerous or broken."""

import codecs
import sys

import pytest

from anyecg_hf.records import RecordError
from anyecg_hf.records.xml_text import parse_xml, recogniser, root_element

DECLARED = '<?xml version="1.0" encoding="UTF-16"?>\r\n<RestingECG>\r\n'


@pytest.mark.parametrize(
    "head",
    [
        b"<RestingECG>",
        b"\n  <RestingECG/>",
        b'<?xml version="1.0" encoding="windows-1252"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG>',
        b'<!DOCTYPE RestingECG [<!ELEMENT a (b)> <!ENTITY c "d">]><RestingECG>',
        b"<!-- <Other> --><?style <Other>?><!-- more --><RestingECG a='1'>",
        b'<m:RestingECG xmlns:m="urn:muse">',
        codecs.BOM_UTF8 + b"<RestingECG>",
        codecs.BOM_UTF16_LE + DECLARED.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + DECLARED.encode("utf-16-be"),
        DECLARED.encode("utf-16-le"),
        DECLARED.encode("utf-16-be"),
        # The head of a file may end in the middle of a character.
        (codecs.BOM_UTF16_LE + DECLARED.encode("utf-16-le"))[:-1],
        "<RestingECG>Müller".encode("latin-1"),
    ],
)
def test_the_root_element_is_found(head, tmp_path):
    assert root_element(head) == "RestingECG"
    assert recogniser("restingecg")(tmp_path, head)
    assert not recogniser("restingecgdata")(tmp_path, head)


@pytest.mark.parametrize(
    "head", [b"", b"I,II\n1,2\n", b"<!-- RestingECG ", b"<RestingEC", b"text <RestingECG>", b"\0\1", b"< RestingECG>"]
)
def test_other_files_have_no_root_element(head, tmp_path):
    assert root_element(head) is None
    assert not recogniser("RestingECG")(tmp_path, head)


def test_a_document_of_another_kind_is_not_recognised(tmp_path):
    assert not recogniser("RestingECG")(tmp_path, b"<restingecgdata><RestingECG/></restingecgdata>")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252"])
def test_documents_are_parsed_in_their_own_encoding(tmp_path, encoding):
    path = tmp_path / "a.xml"
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a SYSTEM "a.dtd"><a>ü</a>'.encode(encoding))
    assert parse_xml(path).text == "ü"


def test_letters_that_contradict_the_declared_encoding_do_not_matter(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes('<?xml version="1.0" encoding="UTF-8"?><a b="1">Jérôme</a>'.encode("latin-1"))
    assert parse_xml(path).get("b") == "1"


@pytest.mark.parametrize(
    "declaration",
    ['<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/passwd">', '<!ENTITY % b "c">'],
    ids=["expansion", "external", "parameter"],
)
def test_entities_are_refused(tmp_path, declaration):
    path = tmp_path / "bomb.xml"
    path.write_text(f"<!DOCTYPE a [{declaration}]><a>&b;</a>")
    with pytest.raises(RecordError, match=r"bomb.xml: expected an XML document without entities, found this: Entities"):
        parse_xml(path)


def test_a_truncated_document_is_an_error_that_says_where(tmp_path):
    (tmp_path / "cut.xml").write_text("<a><b></b>")
    with pytest.raises(RecordError, match=r"cut.xml: expected an XML document, found this: no element found: line 1"):
        parse_xml(tmp_path / "cut.xml")


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(ImportError, match=r'needs the package defusedxml: pip install "anyecg-hf\[records\]"'):
        parse_xml(tmp_path / "a.xml")
