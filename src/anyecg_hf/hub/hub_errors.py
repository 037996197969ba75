# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors of sharing: what was expected of a repository or folder, what came, what to do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from anyecg_hf.records import RecordError

# How the client's error begins.
_OTHER_SIZE = "Consistency check failed"


class HubError(RecordError):
    """A repository or a folder that cannot be shared or used; `path` is its name."""


@contextmanager
def hub_errors_explained(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """
    Turns what the client raises inside into [`HubError`]. Nothing that the server or the client says is repeated, nor
    shown as the cause, for it may quote the request and with it the token.

    Args:
        repo_id (`str`): The repository.
        revision (`str`, *optional*): What was asked for; `None` for the main branch.
    """
    try:
        yield
    except HFValidationError:
        raise HubError(
            repo_id, "the name of a repository, such as org/name", "something else", "Check the spelling."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise _explained(error, repo_id, revision) from None
    except json.JSONDecodeError:
        told = "Is something between, such as the page of a network that wants a login?"
        raise HubError(repo_id, "an answer of the Hub", "no JSON", told) from None
    except Exception as error:
        cause = innermost(error)
        if isinstance(cause, OSError) and str(cause).startswith(_OTHER_SIZE):
            raise HubError(
                repo_id, "files of the size that the Hub tells", "one of another size", "Nothing was kept. Try again."
            ) from None
        if not (is_broken_connection(cause) or isinstance(cause, HfHubHTTPError)):
            raise
        raise _explained(cause, repo_id, revision) from None


def innermost(error: Exception) -> Exception:
    """What the client met: it wraps errors of single uploads in plain `RuntimeError`s."""
    while isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def is_broken_connection(error: Exception) -> bool:
    """Whether it is of the library by which the client speaks HTTP; which one that is depends on its version."""
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "requests")


def _explained(error: Exception, repo_id: str, revision: str | None) -> HubError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError):
        return HubError(
            repo_id,
            "a repository that this account may read",
            f"a gated one (HTTP {status})",
            "Ask for access on its page, then log in with `hf auth login` or pass a token.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return HubError(
            repo_id,
            "a repository that this account may read",
            f"none of this name (HTTP {status})",
            "Check the spelling; if it is private, log in with `hf auth login` or pass a token that may read it.",
        )
    if isinstance(error, RevisionNotFoundError):
        return HubError(
            repo_id, f"the revision {revision!r}", "no such branch, tag or commit", "See what there is on its page."
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return HubError(repo_id, "the files that it lists", "one that is not there (HTTP 404)", "Try once more.")
    if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
        return HubError(
            repo_id,
            f"a complete copy of {revision or 'main'} in the cache, or the Hub",
            "neither: offline, or the Hub does not answer",
            "Pull it once while the Hub can be reached; unset HF_HUB_OFFLINE if that is set.",
        )
    if status in (401, 403):
        return HubError(
            repo_id,
            "an account that may do this",
            f"HTTP {status}",
            "Log in with `hf auth login`, or pass a token that may write there.",
        )
    if status in (409, 412):
        return HubError(
            repo_id,
            "no other commit in the meantime",
            f"one (HTTP {status})",
            "Nothing was changed. Look at what the other commit did, and push again.",
        )
    found = f"HTTP {status}" if status else f"a broken connection ({type(error).__name__})"
    return HubError(repo_id, "an answer of the Hub", found, "Try again later; what has arrived stays.")


__all__ = ["HubError", "hub_errors_explained", "innermost", "is_broken_connection"]
