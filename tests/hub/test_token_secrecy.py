# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A token appears nowhere: not in output, logs, errors, tracebacks or results, whatever goes wrong."""

import logging
import traceback

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from tests.hub.conftest import CARD
from tests.hub.hub_state import TOKEN

from anyecg_hf.cli.main import main
from anyecg_hf.hub import pull_from_hub, push_to_hub
from anyecg_hf.hub.hub_errors import HubError

REPO = "org/anyecg-small"
OTHER = "hf_otherotherotherotherotherother"
TROUBLES = {
    "refused": lambda hub: None,
    "error": lambda hub: hub.fail("GET", "/api/models/", 500, times=100),
    "cut": lambda hub: hub.cut("GET", "/api/models/", times=100),
    "cut upload": lambda hub: hub.cut("PUT", "/lfs/", times=100),
    "conflict": lambda hub: hub.fail("POST", "/commit/", 412),
    "quoting": lambda hub: hub.fail("GET", "/api/models/", 400, times=100),
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("anyecg_hf.hub.uploading._FIRST_WAIT_S", 0)


@pytest.fixture
def everything_told(caplog, capfd):
    """All that was logged at any level, and all that was printed, so far."""
    caplog.set_level(logging.DEBUG)
    for name in ("huggingface_hub", "transformers", "httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(caplog.handler)

    def told() -> str:
        printed = capfd.readouterr()
        return caplog.text + printed.out + printed.err

    yield told
    for name in ("huggingface_hub", "transformers", "httpx", "httpcore"):
        logging.getLogger(name).removeHandler(caplog.handler)
        logging.getLogger(name).setLevel(logging.NOTSET if name.startswith("http") else logging.WARNING)


def told_by(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("by", ["environment", "argument"])
def test_a_push_that_fails_tells_no_token(local_hub, shared, everything_told, trouble, by):
    token = TOKEN if by == "environment" else OTHER
    local_hub.writers.add(token)
    local_hub.quoted = trouble == "quoting"
    TROUBLES[trouble](local_hub)
    repo = "forbidden/x" if trouble == "refused" else REPO
    with pytest.raises(HubError) as caught:
        push_to_hub(shared, repo, token=None if by == "environment" else token, remote_code=False)
    told = told_by(caught.value) + everything_told()
    assert repo in told and token not in told


@pytest.mark.parametrize("trouble", ["error", "cut", "quoting"])
def test_a_pull_that_fails_tells_no_token(local_hub, shared, everything_told, trouble):
    push_to_hub(shared, REPO, remote_code=False)
    local_hub.quoted = trouble == "quoting"
    TROUBLES[trouble](local_hub)
    with pytest.raises(HubError) as caught:
        pull_from_hub(REPO, token=OTHER)
    told = told_by(caught.value) + everything_told()
    assert REPO in told and OTHER not in told and TOKEN not in told


def test_the_plain_client_would_have_told_what_the_server_quotes(local_hub):
    local_hub.create(REPO)
    local_hub.quoted = True
    TROUBLES["quoting"](local_hub)
    with pytest.raises(HfHubHTTPError, match=OTHER):
        HfApi(token=OTHER).model_info(REPO)


def test_what_succeeds_tells_none_either(local_hub, shared, everything_told, tmp_path):
    local_hub.writers.add(OTHER)
    pushed = push_to_hub(shared, REPO, token=OTHER)
    pulled = pull_from_hub(REPO, tmp_path / "pulled", token=OTHER)
    told = repr(pushed) + repr(pulled) + everything_told()
    assert REPO in told and OTHER not in told
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CARD.encode()[:20] in stored and OTHER.encode() not in stored
    assert all(OTHER not in str(request) for request in local_hub.asked)


@pytest.mark.parametrize("wrong", ["hf_one two", "hf_näher", "hf_line\nbreak", "hf_zero\0", ""])
def test_a_token_that_cannot_be_sent_is_not_shown(local_hub, shared, everything_told, wrong, monkeypatch):
    for call in (lambda: push_to_hub(shared, REPO, token=wrong), lambda: pull_from_hub(REPO, token=wrong)):
        with pytest.raises(
            HubError, match="the token of the Hub: expected letters, digits .*it is not shown"
        ) as caught:
            call()
        told = told_by(caught.value) + everything_told()
        assert not wrong or (wrong not in told and repr(wrong)[1:-1] not in told)
    assert local_hub.asked == []
    if wrong.isprintable() and wrong:
        monkeypatch.setenv("HF_TOKEN", wrong)
        with pytest.raises(HubError, match="it is not shown"):
            pull_from_hub(REPO)


@pytest.mark.parametrize("command", ["push", "pull"])
@pytest.mark.parametrize("trouble", ["error", "quoting"])
def test_the_command_tells_none(local_hub, shared, everything_told, command, trouble, loud_libraries_afterwards):
    local_hub.quoted = trouble == "quoting"
    TROUBLES[trouble](local_hub)
    arguments = ["push", str(shared), REPO] if command == "push" else ["pull", REPO]
    assert main(arguments) == 1
    told = everything_told()
    assert f"anyecg {command}: {REPO}: expected an answer of the Hub" in told and TOKEN not in told


def test_a_token_in_the_files_is_refused(local_hub, shared):
    (shared / "notes.txt").write_text(f"export HF_TOKEN={TOKEN}\n")
    with pytest.raises(HubError, match=r"found one in 'notes.txt' \(it is not shown\)\. Remove it") as caught:
        push_to_hub(shared, REPO)
    assert TOKEN not in told_by(caught.value) and local_hub.asked == []
