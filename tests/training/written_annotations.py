# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Long records with beats and rhythms, written for a test."""

from typing import Any

from tests.corpora.written_rows import row


def annotation(time_s: float, symbol: str, note: str = "", lead_name: str | None = None) -> dict[str, Any]:
    """One annotation as rows of a corpus have it."""
    return {"time_s": time_s, "duration_s": None, "symbol": symbol, "note": note, "lead_name": lead_name}


def annotated_row(number: int, seconds: float = 12.0, **columns: Any) -> dict[str, Any]:
    """
    A record of a patient of its own, with a beat every 0.8 s, every third one ventricular in its second half where the
    number is odd, and a change from sinus rhythm to ventricular bigeminy there.
    """
    times_s = [0.1 + 0.8 * beat for beat in range(int(seconds / 0.8))]
    odd = number % 2 == 1
    beats = [
        annotation(time_s, "V" if odd and time_s > seconds / 2 and beat % 3 == 0 else "N")
        for beat, time_s in enumerate(times_s)
    ]
    rhythms = [annotation(0.0, "+", "(N"), *([annotation(seconds / 2, "+", "(B")] if odd else [])]
    facts = {"patient_id": f"p{number}", "annotations": sorted([*beats, *rhythms], key=lambda item: item["time_s"])}
    return row(number, **{"seconds": seconds, **facts, **columns})


__all__ = ["annotated_row", "annotation"]
