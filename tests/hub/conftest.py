# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A Hub for the client of this process, and a checkpoint to share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, hf_api
from tests.hub.hub_server import running_hub
from tests.hub.hub_state import TOKEN, LocalHub

CARD = """---
license: cc-by-4.0
tags: [ecg]
---

# Small

## Training data

Random numbers.
"""


def log_in(hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the client of this process use a Hub, with a cache of the test's own, waiting never."""
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)  # made once, with the Hub of that time
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    huggingface_hub.close_session()


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """An empty Hub that the client of this process uses."""
    with running_hub() as hub:
        log_in(hub, tmp_path / "hub-cache", monkeypatch)
        yield hub
        huggingface_hub.close_session()


@pytest.fixture
def shared(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint, with a card, that a test may harm."""
    folder = tmp_path / "shared"
    shutil.copytree(checkpoint, folder)
    (folder / "README.md").write_text(CARD)
    return folder
