# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""XML exports of GE MUSE, Philips and HL7 aECG written by hand, as the devices lay them out."""

import base64
import struct
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

STORED_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

MUSE_PATIENT = """
  <PatientDemographics>
    <PatientID>p7</PatientID>
    <PatientAge>68</PatientAge>
    <AgeUnits>YEARS</AgeUnits>
    <DateofBirth>05-13-1952</DateofBirth>
    <Gender>FEMALE</Gender>
    <HeightIN>65</HeightIN>
    <WeightLBS>150</WeightLBS>
    <PatientLastName>Müller</PatientLastName>
    <PatientFirstName>Mary</PatientFirstName>
  </PatientDemographics>
  <TestDemographics>
    <AcquisitionTime>12:33:59</AcquisitionTime>
    <AcquisitionDate>05-12-2020</AcquisitionDate>
  </TestDemographics>"""

PHILIPS_PATIENT = """
  <patient><generalpatientdata>
    <patientid>p7</patientid>
    <name><lastname>Müller</lastname><firstname>Mary</firstname></name>
    <age><dateofbirth>1952-05-13</dateofbirth></age>
    <sex>Female</sex>
    <height><cm>165</cm></height>
    <weight><kg>68</kg></weight>
  </generalpatientdata></patient>"""

AECG_SUBJECT = """
  <componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
    <id root="1.2.3" extension="p7"/>
    <subjectDemographicPerson>
      <name>Müller, Mary</name>
      <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
      <birthTime value="19520513"/>
    </subjectDemographicPerson>
  </trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>"""


def base64_lines(content: bytes) -> str:
    """Base64 in short lines, as the devices write it."""
    return "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 80))


def muse_lead(name: str, samples: np.ndarray, **fields: str) -> str:
    """One `<LeadData>`; fields that are passed replace or add to the usual ones, `None` takes one away."""
    content = samples.astype("<i2").tobytes()
    stated = {
        "LeadByteCountTotal": str(len(content)),
        "LeadTimeOffset": "0",
        "LeadSampleCountTotal": str(len(samples)),
        "LeadAmplitudeUnitsPerBit": "4.88",
        "LeadAmplitudeUnits": "MICROVOLTS",
        "LeadID": name,
        "LeadOffsetFirstSample": "0",
        "FirstSampleBaseline": "0",
        "LeadSampleSize": "2",
        "WaveFormData": base64_lines(content),
        **fields,
    }
    return "<LeadData>" + "".join(f"<{tag}>{text}</{tag}>" for tag, text in stated.items() if text) + "</LeadData>"


def muse_waveform(leads: Sequence[str], *, kind: str = "Rhythm", rate: str = "500", exponent: str = "0") -> str:
    """One `<Waveform>` of leads from `muse_lead`."""
    return (
        f"<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>{len(leads)}</NumberofLeads>"
        f"<SampleBase>{rate}</SampleBase><SampleExponent>{exponent}</SampleExponent>{''.join(leads)}</Waveform>"
    )


def write_muse(path: Path, waveforms: Sequence[str], *, further: str = "", encoding: str = "windows-1252") -> Path:
    """A `RestingECG` document with its usual declaration and document type."""
    document = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG>'
        f"{MUSE_PATIENT}{further}{''.join(waveforms)}</RestingECG>"
    )
    path.write_bytes(document.encode(encoding))
    return path


def diagnosis(*lines: str, tag: str = "Diagnosis") -> str:
    """Statements of a MUSE export, one a line."""
    statements = "".join(
        f"<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>{line}</StmtText></DiagnosisStatement>"
        for line in lines
    )
    return f"<{tag}><Modality>RESTING</Modality>{statements}</{tag}>"


def stored_by_philips(leads: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Leads in the order of `TWELVE_LEADS` as XLI stores them: the derived limb leads by what differs from theory."""
    i, ii, iii, avr, avl, avf = (lead.astype(np.int64) for lead in leads[:6])
    return [i, ii, ii - i - iii, -avr - (i + ii) // 2, (i - iii) // 2 - avl, (ii + iii) // 2 - avf, *leads[6:]]


def compress_xli(samples: np.ndarray) -> bytes:
    """One chunk of XLI: second differences, high bytes before low bytes, LZW with codes of 10 bits."""
    values = [int(value) for value in samples]
    differences = [2 * values[k - 1] - values[k - 2] - values[k] for k in range(2, len(values))]
    words = [values[0], values[1], *(difference + 64 for difference in differences[1:]), 64]
    unsigned = [word & 0xFFFF for word in words]
    packed = _compress_lzw(bytes(word >> 8 for word in unsigned) + bytes(word & 0xFF for word in unsigned))
    return struct.pack("<ihh", len(packed), 1, differences[0]) + packed


def _compress_lzw(content: bytes, bits: int = 10) -> bytes:
    codes = {bytes([byte]): byte for byte in range(256)}
    stream, known = [], b""
    for byte in content:
        longer = known + bytes([byte])
        if longer in codes:
            known = longer
            continue
        stream.append(codes[known])
        if len(codes) < (1 << bits) - 1:
            codes[longer] = len(codes)
        known = bytes([byte])
    stream.append(codes[known])
    text = "".join(f"{code:0{bits}b}" for code in stream)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def write_philips(
    path: Path,
    leads: Mapping[str, np.ndarray],
    *,
    rate: int = 500,
    xli: bool = True,
    attributes: Mapping[str, str | None] | None = None,
    further: str = "",
    encoding: str = "utf-16",
) -> Path:
    """A `restingecgdata` document of schema 1.04; attributes replace those of `<parsedwaveforms>`, `None` removes."""
    samples = list(leads.values())
    if xli:
        content = b"".join(compress_xli(lead) for lead in stored_by_philips(samples))
    else:
        content = np.stack(samples).astype("<i2").tobytes()
    stated = {
        "dataencoding": "Base64",
        "compression": "XLI" if xli else "Uncompressed",
        "numberofleads": str(len(leads)),
        "leadlabels": " ".join(leads),
        "durationperchannel": str(len(samples[0]) * 1000 // rate),
        "samplespersecond": str(rate),
        "resolution": "5",
        "signaloffset": "0",
        "signalsigned": "True",
        "bitspersample": "16",
        **(attributes or {}),
    }
    waveforms = " ".join(f'{name}="{value}"' for name, value in stated.items() if value is not None)
    document = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n'
        '<restingecgdata xmlns="http://www3.medical.philips.com">\n<documentinfo><documenttype>PhilipsECG</documenttype>'
        "<documentversion>1.04</documentversion></documentinfo>"
        '<dataacquisition date="2020-05-12" time="12:33:59"><signalcharacteristics>'
        f"<samplingrate>{rate}</samplingrate><resolution>5</resolution>"
        f"<acquisitiontype>STD-12</acquisitiontype><numberchannelsallocated>{len(leads)}</numberchannelsallocated>"
        f"</signalcharacteristics></dataacquisition>{PHILIPS_PATIENT}{further}"
        f"<waveforms><parsedwaveforms {waveforms}>{base64_lines(content)}</parsedwaveforms></waveforms>"
        "</restingecgdata>"
    )
    path.write_bytes(document.encode(encoding))
    return path


def aecg_sequence(code: str, value: str) -> str:
    """One sequence of a set."""
    return f'<component><sequence><code code="{code}"/>{value}</sequence></component>'


def aecg_time(increment: str = "0.002", unit: str = "s", head: str = "20200512123359.500") -> str:
    """The sequence that tells the times."""
    value = f'<value xsi:type="GLIST_TS"><head value="{head}"/><increment value="{increment}" unit="{unit}"/></value>'
    return aecg_sequence("TIME_ABSOLUTE", value)


def aecg_lead(code: str, digits: Sequence[float], *, scale: str = "2.5", unit: str = "uV", origin: str = "0") -> str:
    """The sequence of one lead."""
    return aecg_sequence(
        code,
        f'<value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/><scale value="{scale}" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, digits))}</digits></value>",
    )


def aecg_set(*sequences: str) -> str:
    """One set of sequences, times first."""
    return f"<component><sequenceSet>{''.join(sequences)}</sequenceSet></component>"


def write_aecg(
    path: Path, sets: Sequence[str], *, annotations: str = "", further: str = "", encoding: str = "utf-8"
) -> Path:
    """An `AnnotatedECG` document with one rhythm series."""
    document = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<!-- Sample -->\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="1.2.3"/><effectiveTime><low value="20200512123359.500"/></effectiveTime>{AECG_SUBJECT}{further}'
        f'<component><series><code code="RHYTHM"/>{"".join(sets)}{annotations}</series></component></AnnotatedECG>'
    )
    path.write_bytes(document.encode(encoding))
    return path
