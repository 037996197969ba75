# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pushes over bad connections, without rights, and at the same time as others."""

import json
import threading

import pytest
from tests.hub.conftest import CARD
from tests.hub.hub_state import StoredFile

from anyecg_hf.hub import push_to_hub
from anyecg_hf.hub.hub_errors import HubError, hub_errors_explained

REPO = "org/anyecg-small"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("anyecg_hf.hub.uploading._FIRST_WAIT_S", 0)


def refused(folder, told: str, repo: str = REPO, **options) -> None:
    with pytest.raises(HubError, match=told):
        push_to_hub(folder, repo, **options)


class TestTroubleThatPasses:
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        ("method", "pattern"),
        [
            *(("POST", "/api/repos/create"), ("GET", "/api/models/"), ("POST", "/preupload/")),
            *(("POST", "/objects/batch"), ("PUT", "/lfs/"), ("POST", "/lfs-verify"), ("POST", "/commit/")),
        ],
    )
    def test_an_error_of_the_server(self, local_hub, shared, method, pattern, status):
        local_hub.fail(method, pattern, status)
        push_to_hub(shared, REPO, commit_message="Once", remote_code=False)
        assert local_hub.titles(REPO) == ["Once"] and local_hub.troubles[0].times == 0

    @pytest.mark.parametrize("pattern", ["/api/repos/create", "/preupload/", "/objects/batch", "/commit/"])
    def test_a_cut_connection(self, local_hub, shared, pattern):
        local_hub.cut("POST", pattern)
        push_to_hub(shared, REPO, commit_message="Once", remote_code=False)
        assert local_hub.titles(REPO) == ["Once"] and local_hub.troubles[0].times == 0

    @pytest.mark.parametrize("is_cut", [True, False])
    def test_an_upload_that_the_client_has_given_up_is_tried_again(self, local_hub, shared, is_cut):
        pattern = f"/lfs/{StoredFile((shared / 'model.safetensors').read_bytes(), True).sha256}"
        times = 7  # the client tries six times by itself
        local_hub.cut("PUT", pattern, times=times) if is_cut else local_hub.fail("PUT", pattern, 503, times=times)
        push_to_hub(shared, REPO, commit_message="Once", remote_code=False)
        assert local_hub.titles(REPO) == ["Once"] and local_hub.troubles[0].times == 0
        assert len(local_hub.requests("POST", "/objects/batch")) == 2

    def test_a_commit_whose_answer_is_lost_is_not_made_twice(self, local_hub, shared):
        local_hub.cut("POST", "/commit/", is_done_first=True)
        pushed = push_to_hub(shared, REPO, commit_message="Once", remote_code=False)
        assert local_hub.titles(REPO) == ["Once"]
        assert pushed.commit == local_hub.repositories["model", REPO].at("main").oid
        assert pushed.commit_url.endswith(f"/{REPO}/commit/{pushed.commit}")

    def test_somebody_elses_commit_is_not_taken_for_one_whose_answer_was_lost(self, local_hub, shared):
        local_hub.create(REPO)
        local_hub.cut("POST", "/commit/")
        local_hub.first("POST", "/commit/", lambda: local_hub.add(REPO, {"README.md": b"another"}))
        refused(shared, "expected no other commit in the meantime", remote_code=False)
        assert local_hub.titles(REPO) == ["by hand"]

    def test_nor_is_one_that_left_what_was_to_be_removed(self, local_hub, shared):
        push_to_hub(shared, "org/same", remote_code=False)
        files = local_hub.files("org/same")
        local_hub.add(REPO, {"adapter_config.json": b"{}"})
        local_hub.cut("POST", "/commit/")
        local_hub.first("POST", "/commit/", lambda: local_hub.add(REPO, files))
        refused(shared, "expected no other commit in the meantime", remote_code=False)


class TestResuming:
    def test_what_was_uploaded_before_the_connection_broke_is_not_sent_again(self, local_hub, shared):
        local_hub.fail("POST", "/commit/", 500, times=100)
        refused(shared, r"expected an answer of the Hub, found HTTP 500\. Try again later; what has arrived stays")
        assert len(local_hub.requests("PUT", "/lfs/")) == 2 and local_hub.titles(REPO) == []
        local_hub.troubles.clear()
        local_hub.asked.clear()
        push_to_hub(shared, REPO)
        assert local_hub.requests("PUT", "/lfs/") == [] and len(local_hub.titles(REPO)) == 1

    def test_only_the_file_that_was_cut_is_sent_again(self, local_hub, shared):
        weights = (shared / "model.safetensors").read_bytes()
        digest = StoredFile(weights, True).sha256
        local_hub.cut("PUT", f"/lfs/{digest}", times=100)
        refused(shared, r"found a broken connection \(\w+\)")
        assert digest not in local_hub.large and len(local_hub.large) == 1 and local_hub.files(REPO) == {}
        local_hub.troubles.clear()
        local_hub.asked.clear()
        push_to_hub(shared, REPO)
        assert local_hub.requests("PUT", "/lfs/") == [f"/lfs/{digest}"]
        assert local_hub.files(REPO)["model.safetensors"] == weights


class TestRights:
    def test_without_a_token(self, local_hub, shared, monkeypatch):
        monkeypatch.delenv("HF_TOKEN")
        refused(shared, r"expected an account that may do this, found HTTP 401\. Log in with `hf auth login`")
        assert local_hub.repositories == {}

    def test_with_a_token_that_may_not(self, local_hub, shared):
        refused(shared, "expected an account that may do this, found HTTP 401", token="hf_reader")
        refused(shared, r"forbidden/x: expected an account that may do this, found HTTP 403", "forbidden/x")

    def test_by_the_login_or_by_none(self, local_hub, shared):
        refused(shared, "expected an account that may do this, found HTTP 401", token=False)
        assert push_to_hub(shared, REPO, token=True).commit

    def test_a_page_in_place_of_an_answer(self):
        with pytest.raises(HubError, match="org/x: expected an answer of the Hub, found no JSON"):
            with hub_errors_explained("org/x"):
                json.loads("<html>")

    def test_nothing_is_tried_again_that_was_refused(self, local_hub, shared):
        local_hub.fail("POST", "/commit/", 403)
        refused(shared, "HTTP 403")
        assert len(local_hub.requests("POST", "/commit/")) == 1 and local_hub.titles(REPO) == []


class TestOthers:
    def test_of_two_pushes_at_once_the_second_is_refused_and_nothing_is_mixed(self, local_hub, shared, tmp_path):
        other = tmp_path / "CARD.md"
        other.write_text(CARD + "\nThe other's.\n")

        def push_other() -> None:
            push_to_hub(shared, REPO, card=other, commit_message="Other", remote_code=False)

        local_hub.first("POST", "/commit/", push_other)
        refused(shared, r"expected no other commit in the meantime, found one \(HTTP 412\)\. Nothing was changed")
        assert local_hub.titles(REPO) == ["Other"]
        assert b"The other's." in local_hub.files(REPO)["README.md"] and "entry_anyecg.py" not in local_hub.files(REPO)
        push_to_hub(shared, REPO, commit_message="Again")
        assert local_hub.titles(REPO) == ["Other", "Again"]

    def test_many_at_once_leave_whole_commits(self, local_hub, shared):
        done, failed = [], []

        def push(number: int) -> None:
            try:
                push_to_hub(shared, REPO, card=CARD + f"\nNumber {number}.\n", commit_message=str(number))
                done.append(str(number))
            except HubError as error:
                failed.append(str(error))

        threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(local_hub.titles(REPO)) == sorted(done) and len(done) + len(failed) == 4 and done
        assert all("expected no other commit in the meantime" in told for told in failed)
        last = local_hub.titles(REPO)[-1]
        assert f"Number {last}.".encode() in local_hub.files(REPO)["README.md"]

    def test_a_pickle_that_is_there_already_is_refused(self, local_hub, shared):
        local_hub.add(REPO, {"pytorch_model.bin": b""})
        refused(shared, "org/anyecg-small: expected weights as safetensors only, found 'pytorch_model.bin'")
        assert local_hub.titles(REPO) == ["by hand"]
