# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Texts of variable length in HDF5 files. A file states the length of each, and libhdf5 asks for so much memory, up to
4 GiB, before it looks whether the text is there. So the lengths are read here first, from the bytes themselves (HDF5
File Format Specification, version 3.0, sections IV.A.1 and IV.A.2.m).
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .errors import RecordError

if TYPE_CHECKING:
    import h5py

_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_IS_SHARED = 0x02  # a flag of messages whose content lies elsewhere
# More blocks than any header has; a file may make them go round in circles.
_MOST_BLOCKS = 1000
_VERSION_2, _BLOCK_2 = b"OHDR", b"OCHK"
# Of a text: its length, and where it lies.
_DESCRIPTOR = struct.Struct("<IQI")


def check_attribute_text(path: Path, holder: "h5py.HLObject", name: str) -> None:
    """
    Checks the lengths that an attribute's texts state.

    Args:
        path (`Path`): The file.
        holder (`h5py.Dataset` or `h5py.File`): What has the attribute.
        name (`str`): Its name.

    Raises:
        [`RecordError`]: if a text would be longer than the file, is a sequence of anything else, or lies where only
            newer files have attributes.
    """
    import h5py

    attribute = h5py.h5a.open(holder.id, name.encode())
    dtype = attribute.dtype
    is_text = h5py.check_string_dtype(dtype) is not None
    if dtype.kind == "V" or (h5py.check_vlen_dtype(dtype) is not None and not is_text):
        raise RecordError(path, f"a text, a number or a list of them in {name!r}", f"dtype {dtype}")
    if not _is_variable(dtype):
        return
    with path.open("rb") as file:
        blocks = _Blocks(file, base=holder.file.userblock_size)
        attributes = _attributes(blocks, h5py.h5o.get_info(holder.id).addr)
        found = next((data for label, data in attributes if label == name.encode()), None)
    count = attribute.get_space().get_simple_extent_npoints()
    if found is None or len(found) < count * _DESCRIPTOR.size:
        raise RecordError(
            path,
            f"{name!r} in the header of its object",
            "a text of variable length elsewhere",
            "Write it as a text of fixed length (NumPy's `S`).",
        )
    _check_lengths(path, name, found[: count * _DESCRIPTOR.size])


def check_dataset_texts(path: Path, dataset: "h5py.Dataset") -> None:
    """As [`check_attribute_text`], for a dataset of texts; of those in chunks, variable length is refused."""
    if not _is_variable(dataset.dtype):
        return
    offset = dataset.id.get_offset()
    if offset is None:
        raise RecordError(
            path,
            f"texts of fixed length in {dataset.name!r}",
            "variable length in chunks",
            "Write them as NumPy's `S`, or as whole numbers.",
        )
    with path.open("rb") as file:
        file.seek(offset)
        _check_lengths(path, dataset.name, file.read(dataset.size * _DESCRIPTOR.size))


def _is_variable(dtype: object) -> bool:
    import h5py

    text = h5py.check_string_dtype(dtype)
    return text is not None and text.length is None


def _check_lengths(path: Path, name: str, descriptors: bytes) -> None:
    n_bytes = path.stat().st_size
    for length, _, _ in _DESCRIPTOR.iter_unpack(descriptors[: len(descriptors) // _DESCRIPTOR.size * _DESCRIPTOR.size]):
        if length > n_bytes:
            raise RecordError(
                path, f"a text in {name!r} of at most the file's {n_bytes} bytes", f"{length}", "The file is corrupt."
            )


class _Blocks:
    """Pieces of a file, of which no more is read than there is; addresses are counted from `base`."""

    def __init__(self, file: BinaryIO, base: int):
        self._file, self._base = file, base
        self._n_bytes = file.seek(0, os.SEEK_END)

    def read(self, address: int, n_bytes: int) -> bytes:
        start = min(self._base + address, self._n_bytes)
        self._file.seek(start)
        return self._file.read(min(n_bytes, self._n_bytes - start))


def _attributes(blocks: _Blocks, address: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of the attributes in the header of an object."""
    for kind, message in _messages(blocks, address):
        if kind == _ATTRIBUTE and len(message) >= 8:
            version, _, *sizes = struct.unpack_from("<BBHHH", message)
            sizes = [size + -size % 8 for size in sizes] if version == 1 else sizes
            start = 9 if version == 3 else 8
            yield message[start : start + sizes[0]].partition(b"\0")[0], message[start + sum(sizes) :]


def _messages(blocks: _Blocks, address: int) -> Iterator[tuple[int, bytes]]:
    """Kinds and contents of the messages in the header of an object, of either version."""
    place, n_bytes, head = _first_block(blocks, address)
    waiting = [(place, n_bytes)]
    for _ in range(_MOST_BLOCKS):
        if not waiting:
            return
        block, place = blocks.read(*waiting.pop(0)), 0
        while place + head.size <= len(block):
            kind, size, flags = head.unpack_from(block, place)
            content = block[place + head.size : place + head.size + size]
            place += head.size + size
            if kind == _CONTINUATION and len(content) >= 16:
                waiting.append(_next_block(*struct.unpack_from("<QQ", content), is_new=head.size < 8))
            elif not flags & _IS_SHARED:
                yield kind, content


def _first_block(blocks: _Blocks, address: int) -> tuple[int, int, struct.Struct]:
    """Where messages begin, how many bytes they take, and how each begins."""
    start = blocks.read(address, 64).ljust(64, b"\0")
    if not start.startswith(_VERSION_2):
        return address + 16, struct.unpack_from("<I", start, 8)[0], struct.Struct("<HHB3x")
    flags = start[5]
    place = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
    width = 1 << (flags & 3)
    n_bytes = int.from_bytes(start[place : place + width], "little")
    return address + place + width, n_bytes, struct.Struct("<BHB2x" if flags & 0x04 else "<BHB")


def _next_block(address: int, n_bytes: int, is_new: bool) -> tuple[int, int]:
    """A further block; those of newer files stand between a signature and a checksum."""
    return (address + len(_BLOCK_2), max(0, n_bytes - len(_BLOCK_2) - 4)) if is_new else (address, n_bytes)


__all__ = ["check_attribute_text", "check_dataset_texts"]
