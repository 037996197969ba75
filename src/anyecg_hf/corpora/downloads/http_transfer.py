# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One remote file brought to disk, over as many connections as that takes.

The bytes gather in `<name>.part`. Beside it, `<name>.part.json` says which version of the remote file they are from, so
that a later connection, or a later run, asks for the missing bytes of that version only.
"""

import json
import logging
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from ...version import __version__
from .download_errors import AccessDeniedError, DownloadError, MissingRemoteFileError, StoppedError, storing
from .remote_files import PART_SUFFIX, RemoteFile

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
MAX_PAUSE_S = 60.0
# A server that asks for more patience than this is given up.
MAX_RETRY_AFTER_S = 600.0
PHYSIONET_HOST = "physionet.org"

# Too early, too many, or the server's own trouble. 202: some sites answer so while they check the client.
_TRANSIENT_STATUSES = (202, 408, 425, 429, 500, 502, 503, 504)
_CERTIFICATE_ADVICE = "Where your network has its own authority, name its certificate in REQUESTS_CA_BUNDLE."
_RUN_AGAIN = "Run again later: what was fetched is kept."


class _TransientError(Exception):
    """Worth another connection, `retry_after_s` from now if the server says so."""

    def __init__(self, found: str, retry_after_s: float | None = None):
        super().__init__(found)
        self.retry_after_s = retry_after_s


class _WrongContentError(Exception):
    """All of it came, and it is not what was expected."""


@dataclass(frozen=True)
class _Origin:
    """Which version of which remote file the bytes of a part are from; `size` in bytes."""

    url: str
    etag: str | None
    last_modified: str | None
    size: int | None

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a weak ETag would not do."""
        is_strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if is_strong else self.last_modified


class _PartFile:
    """The bytes of a file that is not complete yet."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(target.name + PART_SUFFIX)
        self._origin_path = self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self) -> _Origin | None:
        try:
            return _Origin(**json.loads(self._origin_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def restart(self, origin: _Origin) -> None:
        with storing(self.path):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            self._origin_path.write_text(json.dumps(asdict(origin)), encoding="utf-8")
            self.path.touch()

    def discard(self) -> None:
        with storing(self.path):
            self.path.unlink(missing_ok=True)
            self._origin_path.unlink(missing_ok=True)

    def commit(self) -> None:
        with storing(self.target):
            os.replace(self.path, self.target)
            self._origin_path.unlink(missing_ok=True)


class _Session(requests.Session):
    """Encrypted stays encrypted: no redirect leads from https to anything else."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target is not None and urlsplit(response.url).scheme == "https":
            absolute = urljoin(response.url, target)
            if urlsplit(absolute).scheme != "https":
                raise DownloadError(
                    response.url, "redirects to https only", f"one to {absolute}", "Tell the publisher."
                )
        return target


def open_session(n_connections: int) -> requests.Session:
    """Connections for several threads: proxies and certificates as the environment has them, no cookies kept."""
    session = _Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=n_connections, pool_maxsize=n_connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Identity: offsets must count the bytes of the file.
    session.headers.update({"User-Agent": f"anyecg_hf/{__version__}", "Accept-Encoding": "identity"})
    # A jar that threads share must not change.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class Transfer:
    """
    Fetches files over HTTP.

    Args:
        session (`requests.Session`): From [`open_session`].
        retries (`int`): Connections in a row that may bring nothing new, after the first.
        timeout_s (`float`): To connect, and between any two bytes.
        backoff_s (`float`): Pause before the second connection; it doubles up to a minute.
        auth (`tuple[str, str]`, *optional*): Name and password, sent to `https://physionet.org` and nowhere else.
        stop (`threading.Event`): Ends all transfers when set, with [`StoppedError`].
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        retries: int,
        timeout_s: float,
        backoff_s: float,
        auth: tuple[str, str] | None,
        stop: threading.Event,
    ):
        self._session = session
        self._retries = retries
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._auth = auth
        self._stop = stop

    def run(self, file: RemoteFile, target: Path, on_bytes: Callable[[int], None]) -> None:
        """
        Brings `file` to `target`, which appears when it is complete and agrees with all that is known of it.

        Args:
            file ([`RemoteFile`]): What to fetch.
            target (`Path`): Where to.
            on_bytes (`Callable`): Told of every gain in bytes, and of losses as negative ones.

        Raises:
            [`DownloadError`]: if it cannot be had, or came wrong twice.
        """
        part = _PartFile(target)
        found = None
        for _ in range(2):
            if found is not None:
                logger.warning("%s: expected %s, found %s; once more.", file.url, file.expectation(), found)
            on_bytes(part.size)
            try:
                self._complete(file, part, on_bytes)
                with storing(part.path):
                    found = file.mismatch(part.path)
            except _WrongContentError as error:
                found = str(error)
            if found is None:
                part.commit()
                return
            on_bytes(-part.size)
            part.discard()
        raise DownloadError(
            file.url,
            file.expectation(),
            f"{found}, twice",
            "The site's copy or its listing is wrong: tell the publisher.",
        )

    def _complete(self, file: RemoteFile, part: _PartFile, on_bytes: Callable[[int], None]) -> None:
        failures, furthest = 0, part.size
        while True:
            try:
                self._append(file, part, on_bytes)
                return
            except _TransientError as error:
                if part.size > furthest:
                    failures, furthest = 0, part.size
                failures += 1
                if failures > self._retries or (error.retry_after_s or 0) > MAX_RETRY_AFTER_S:
                    found = f"{error}, {failures} times in a row" if failures > 1 else str(error)
                    raise DownloadError(file.url, "an answer with all bytes", found, _RUN_AGAIN) from error
                pause_s = error.retry_after_s
                if pause_s is None:
                    # Threads that failed together come back one by one.
                    pause_s = min(MAX_PAUSE_S, self._backoff_s * 2 ** (failures - 1)) * random.uniform(0.5, 1)
                logger.info("%s: %s; again in %.1f s.", file.url, error, pause_s)
                if self._stop.wait(pause_s):
                    raise StoppedError from error

    def _append(self, file: RemoteFile, part: _PartFile, on_bytes: Callable[[int], None]) -> None:
        """Fetches what is missing in one connection."""
        origin = part.origin()
        if origin is None or origin.url != file.url or not (origin.validator or file.checksum):
            on_bytes(-part.size)
            part.discard()
            origin = None
        elif part.size and part.size == (origin.size if file.size is None else file.size):
            return
        with self._open(file, _resume_headers(origin, part.size)) as response:
            if origin is None or not _continues(response, origin, part.size):
                on_bytes(-part.size)
                part.discard()
                if response.status_code != 200:
                    raise _TransientError("another version of the file than before")
                origin = _origin_of(response, file)
                if None not in (file.size, origin.size) and file.size != origin.size:
                    raise _WrongContentError(f"{origin.size} bytes")
                part.restart(origin)
            self._write(response, file, part, on_bytes)
        expected = origin.size if file.size is None else file.size
        if expected is not None and part.size < expected:
            if response.status_code == 200 and _tells_its_end(response):
                raise _WrongContentError(f"{part.size} bytes")
            raise _TransientError(f"{part.size} of {expected} bytes")

    def _write(
        self, response: requests.Response, file: RemoteFile, part: _PartFile, on_bytes: Callable[[int], None]
    ) -> None:
        size = part.size
        with storing(part.path), open(part.path, "ab") as stream:
            for chunk in _chunks(response):
                if self._stop.is_set():
                    raise StoppedError
                stream.write(chunk)
                size += len(chunk)
                on_bytes(len(chunk))
                if file.size is not None and size > file.size:
                    raise _WrongContentError(f"more than {size} bytes")

    @contextmanager
    def _open(self, file: RemoteFile, headers: dict[str, str]) -> Iterator[requests.Response]:
        """A response that has a body to use: 200, 206, or 416 where the part on disk is not of this file."""
        try:
            response = self._session.get(
                file.url, headers=headers, stream=True, timeout=self._timeout_s, auth=self._auth_for(file.url)
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise DownloadError(
                    file.url, "a certificate that this machine trusts", _reason(error), _CERTIFICATE_ADVICE
                ) from error
            raise _TransientError(f"no answer ({_reason(error)})") from error
        except requests.RequestException as error:
            raise DownloadError(file.url, "an answer", _reason(error)) from error
        with response:
            if response.status_code not in (200, 206) and not (response.status_code == 416 and "Range" in headers):
                _raise_for_status(response, file)
            yield response

    def _auth_for(self, url: str) -> Callable | None:
        parts = urlsplit(url)
        if parts.scheme != "https":
            # `None` would let requests send what the user's netrc holds, in the clear.
            return _anonymous
        return HTTPBasicAuth(*self._auth) if self._auth and parts.hostname == PHYSIONET_HOST else None


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _resume_headers(origin: _Origin | None, n_bytes: int) -> dict[str, str]:
    if origin is None or not n_bytes:
        return {}
    headers = {"Range": f"bytes={n_bytes}-"}
    if origin.validator:
        headers["If-Range"] = origin.validator
    return headers


def _continues(response: requests.Response, origin: _Origin, n_bytes: int) -> bool:
    """Whether the response goes on, in the same version of the file, where the part ends."""
    if response.status_code != 206:
        return False
    content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not content_range or int(content_range[1]) != n_bytes:
        return False
    # Some servers ignore If-Range.
    if content_range[2] != "*" and origin.size is not None and int(content_range[2]) != origin.size:
        return False
    pairs = ((response.headers.get("ETag"), origin.etag), (response.headers.get("Last-Modified"), origin.last_modified))
    return all(now == before for now, before in pairs if now is not None and before is not None)


def _origin_of(response: requests.Response, file: RemoteFile) -> _Origin:
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity" and file.checksum is None:
        raise DownloadError(file.url, "the file as it is", f"it encoded by {headers['Content-Encoding']}")
    length = headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if not file.is_checkable and not _tells_its_end(response):
        raise DownloadError(
            file.url, "a length or a checksum", "neither", "A cut connection would go unnoticed; try another mirror."
        )
    return _Origin(file.url, headers.get("ETag"), headers.get("Last-Modified"), size)


def _tells_its_end(response: requests.Response) -> bool:
    """Whether a response that breaks off would be noticed."""
    headers = response.headers
    return headers.get("Content-Length", "").isdecimal() or headers.get("Transfer-Encoding", "").lower() == "chunked"


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        # Whatever has arrived, so that nothing of it is lost when the connection breaks.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise _TransientError(f"a broken connection ({error})") from error


def _raise_for_status(response: requests.Response, file: RemoteFile) -> None:
    status = f"{response.status_code} {response.reason}".strip()
    if response.status_code in _TRANSIENT_STATUSES:
        retry_after_s = _retry_after_s(response)
        raise _TransientError(status if retry_after_s is None else f"{status} for {retry_after_s:.0f} s", retry_after_s)
    if response.status_code in (401, 403):
        raise AccessDeniedError(file.url, "open access", status, _access_advice(file.url))
    if response.status_code in (404, 410):
        raise MissingRemoteFileError(
            file.url, "a file", status, "It was moved or withdrawn, or the mirror is not complete: look at the site."
        )
    raise DownloadError(file.url, "the file", status)


def _access_advice(url: str) -> str:
    if urlsplit(url).hostname != PHYSIONET_HOST:
        return "The site keeps it to those who have credentialed access: ask its publisher, and fetch it by hand."
    return (
        "This is credentialed access: it takes a PhysioNet account, its credentialing and training, and the project's "
        "signed data use agreement. PhysioNet may take passwords from wget only: fetch it into the corpus's folder by "
        "`wget -r -N -c -np --user NAME --ask-password URL`, and run again; files that are there are only verified."
    )


def _retry_after_s(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After")
    try:
        return None if value is None else urllib3.util.Retry().parse_retry_after(value)
    except urllib3.exceptions.InvalidHeader:
        return None


def _reason(error: requests.RequestException) -> str:
    """The innermost message that is of use."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner) or type(error).__name__


__all__ = ["Transfer", "open_session"]
