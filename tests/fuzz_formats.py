"""Mutators that know a format: what they change, checksums and lengths still agree with, so that a reader goes on."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np
from fuzzing import BYTES, EXTREME, lengthened, replanted, retold

SIDES = (0, 1, 7, 300, 8000, 8001, 30_000, 65_535, 2**31 - 1, 2**32 - 1)
SIGNATURE = 8  # bytes of a PNG before its first chunk


def _any_of_bytes(dice: np.random.Generator, data: bytes) -> bytes:
    return BYTES[int(dice.integers(len(BYTES)))](dice, data, [data])


def chunk_of_png(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A chunk holds something else, and its checksum is right; the size of the picture may be any."""
    chunks, place = [], SIGNATURE
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return data
    chosen = int(dice.integers(len(chunks)))
    kind, content = chunks[chosen]
    if kind == b"IHDR" and dice.random() < 0.7 and len(content) >= 13:
        sides = [int(dice.choice(SIDES)) if dice.random() < 0.5 else n for n in struct.unpack(">II", content[:8])]
        rest = content[8:] if dice.random() < 0.5 else dice.bytes(2) + content[10:]
        content = struct.pack(">II", *sides) + rest
    elif kind == b"IDAT" and dice.random() < 0.7:
        content = zlib.compress(_any_of_bytes(dice, _inflated(content)))
    elif dice.random() < 0.5:
        kind = [b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"iTXt"][int(dice.integers(9))]
    else:
        content = _any_of_bytes(dice, content)
    chunks[chosen] = (kind, content)
    if dice.random() < 0.2:
        chunks.insert(int(dice.integers(len(chunks))), chunks[int(dice.integers(len(chunks)))])
    return data[:SIGNATURE] + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def segment_of_jpeg(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A segment holds something else, and its length is right; the size of the picture may be any."""
    places, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        places.append(place)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    if not places:
        return data
    at = places[int(dice.integers(len(places)))]
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    content = data[at + 4 : at + 2 + length]
    if data[at + 1] in (0xC0, 0xC2) and dice.random() < 0.7:
        sides = struct.pack(">HH", *(int(dice.choice(SIDES)) % 65_536 for _ in range(2)))
        content = content[:1] + sides + content[5:]
    else:
        content = _any_of_bytes(dice, content)[:65_000]
    return data[: at + 2] + struct.pack(">H", len(content) + 2) + content + data[at + 2 + length :]


def entry_of_tiff(dice: np.random.Generator, data: bytes, _: Sequence[bytes]) -> bytes:
    """A field of the first directory is another one, of another type, longer, or somewhere else."""
    order = "little" if data[:2] == b"II" else "big"
    first = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[first : first + 2], order)
    if not 0 < count < 200 or first + 2 + 12 * count > len(data):
        return data
    at = first + 2 + 12 * int(dice.integers(count))
    offset, width = [(0, 2), (2, 2), (4, 4), (8, 4), (8, 4)][int(dice.integers(5))]
    value = EXTREME[int(dice.integers(len(EXTREME)))] if dice.random() < 0.5 else int(dice.integers(0, 2**16))
    if offset == 2:
        value = int(dice.integers(0, 20))
    changed = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return data[: at + offset] + changed + data[at + offset + width :]


def member_of_zip(dice: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    """An array within an archive is another, or not there, or there twice; the archive is whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return data
    if not members:
        return data
    chosen = int(dice.integers(len(members)))
    name, content = members[chosen]
    act = dice.random()
    if act < 0.1:
        members.pop(chosen)
    elif act < 0.2:
        members.append((["x/../../y.npy", name, "/etc/x.npy", "a\0b.npy"][int(dice.integers(4))], content))
    elif act < 0.6:
        members[chosen] = (name, retold(dice, content[:128], others) + content[128:])
    else:
        members[chosen] = (name, _any_of_bytes(dice, content))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "_")), content)
    return packed.getvalue()


def header_of_safetensors(dice: np.random.Generator, data: bytes, others: Sequence[bytes]) -> bytes:
    """The header says something else, and its length is right."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    if dice.random() < 0.6:
        header = replanted(dice, header, others)
    else:
        header = retold(dice, header, others) if dice.random() < 0.7 else lengthened(dice, header, others)
    return len(header).to_bytes(8, "little") + header + rest
