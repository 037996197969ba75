# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Texts of variable length in HDF5 files, read without libhdf5: it makes room for the length that a file states, up to
4 GiB, before it looks whether the text is there, and never comes back from a heap whose objects have no size. The rest
of a file is its business. (HDF5 File Format Specification, version 3.0, sections III.E, IV.A.1 and IV.A.2.m.)
"""

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .errors import RecordError
from .formats import check_expansion

if TYPE_CHECKING:
    import h5py

_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_IS_SHARED = 0x02  # a flag of messages whose content lies elsewhere
# More blocks than any header has; a file may make them go round in circles.
_MOST_BLOCKS = 1000
_VERSION_2, _BLOCK_2, _HEAP = b"OHDR", b"OCHK", b"GCOL"
# Of a text: its length, the heap that it lies in, and which of the heap's objects it is.
_DESCRIPTOR = struct.Struct("<IQI")
# Of a heap's object: its number, references, nothing, its length.
_HEAP_OBJECT = struct.Struct("<HHIQ")


def read_attribute(path: Path, holder: "h5py.HLObject", name: str) -> Any:
    """
    An attribute, as h5py gives it.

    Args:
        path (`Path`): The file.
        holder (`h5py.Dataset` or `h5py.File`): What has the attribute.
        name (`str`): Its name.

    Returns:
        What `holder.attrs[name]` does: a text, a number or an array of them.

    Raises:
        [`RecordError`]: if it is a list of lists or a table, or its texts are not where they should be.
    """
    import h5py

    attribute = h5py.h5a.open(holder.id, name.encode())
    dtype = attribute.dtype
    is_text = h5py.check_string_dtype(dtype) is not None
    if dtype.kind == "V" or (h5py.check_vlen_dtype(dtype) is not None and not is_text):
        raise RecordError(path, f"a text, a number or a list of them in {name!r}", f"dtype {dtype}")
    if not _is_variable(dtype) or attribute.shape is None:
        return holder.attrs[name]
    with path.open("rb") as file:
        blocks = _Blocks(path, file, base=holder.file.userblock_size)
        attributes = _attributes(blocks, h5py.h5o.get_info(holder.id).addr)
        found = next((data for label, data in attributes if label == name.encode()), None)
        if found is None:
            raise RecordError(
                path,
                f"{name!r} in the header of its object",
                "a text of variable length elsewhere",
                "Write it as a text of fixed length (NumPy's `S`).",
            )
        texts = _texts(blocks, name, found, attribute.shape)
    return texts if attribute.shape else texts.item()


def read_text_dataset(path: Path, dataset: "h5py.Dataset") -> Any:
    """As [`read_attribute`], for a dataset of texts or numbers; of texts in chunks, variable length is refused."""
    if not _is_variable(dataset.dtype):
        return dataset[()]
    offset = dataset.id.get_offset()
    if offset is None:
        raise RecordError(
            path,
            f"texts of fixed length in {dataset.name!r}",
            "variable length in chunks",
            "Write them as NumPy's `S`, or as whole numbers.",
        )
    with path.open("rb") as file:
        blocks = _Blocks(path, file, base=dataset.file.userblock_size)
        descriptors = blocks.read(offset - blocks.base, dataset.size * _DESCRIPTOR.size)
        return _texts(blocks, dataset.name, descriptors, dataset.shape)


def _is_variable(dtype: np.dtype) -> bool:
    import h5py

    text = h5py.check_string_dtype(dtype)
    return text is not None and text.length is None


class _Blocks:
    """Pieces of a file, of which no more is read than there is; addresses are counted from `base`."""

    def __init__(self, path: Path, file: BinaryIO, base: int):
        self.path, self.base = path, base
        self._file = file
        self.n_bytes = file.seek(0, os.SEEK_END)

    def read(self, address: int, n_bytes: int) -> bytes:
        start = min(self.base + address, self.n_bytes)
        self._file.seek(start)
        return self._file.read(min(n_bytes, self.n_bytes - start))


def _texts(blocks: _Blocks, name: str, descriptors: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Texts by what says how long they are and where they lie."""
    n_bytes = math.prod(shape) * _DESCRIPTOR.size
    if len(descriptors) < n_bytes:
        raise RecordError(blocks.path, f"{n_bytes} bytes that say where {name!r} is", f"{len(descriptors)}")
    places = list(_DESCRIPTOR.iter_unpack(descriptors[:n_bytes]))
    check_expansion(blocks.path, f"texts in {name!r}", sum(length for length, _, _ in places), blocks.n_bytes)
    heaps = _heaps(blocks, {address for length, address, _ in places if length})
    texts = np.empty(len(places), dtype=object)
    for number, (length, address, index) in enumerate(places):
        content = heaps[address].get(index, b"") if length else b""
        if len(content) < length:
            raise RecordError(
                blocks.path, f"a text of length {length} in {name!r}", f"one of {len(content)}", "The file is corrupt."
            )
        texts[number] = content[:length].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return texts.reshape(shape)


def _heaps(blocks: _Blocks, addresses: set[int]) -> dict[int, dict[int, bytes]]:
    """Contents of global heaps by address and number; what is no heap has none."""
    heads = {address: blocks.read(address, 16) for address in addresses}
    sizes = {
        address: int.from_bytes(head[8:], "little") if head.startswith(_HEAP) else 0 for address, head in heads.items()
    }
    if sum(sizes.values()) > blocks.n_bytes:
        raise RecordError(
            blocks.path, f"heaps within the file's {blocks.n_bytes} bytes", f"{sum(sizes.values())}", "It is corrupt."
        )
    return {address: _heap_objects(blocks.read(address, size)) for address, size in sizes.items()}


def _heap_objects(heap: bytes) -> dict[int, bytes]:
    place, found = 16, {}
    while place + _HEAP_OBJECT.size <= len(heap):
        index, _, _, size = _HEAP_OBJECT.unpack_from(heap, place)
        if index == 0:  # what is left free
            break
        place += _HEAP_OBJECT.size
        found[index] = heap[place : place + size]
        place += size + -size % 8
    return found


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


__all__ = ["read_attribute", "read_text_dataset"]
