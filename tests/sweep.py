"""Looks for words in every byte of every file: as they are, packed, and in every way that programs write them."""

import base64
import hashlib
import html
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pydicom
from dicom_files import texts
from pydicom.datadict import keyword_for_tag

SHORT = 6  # bytes: words shorter than this occur in packed bytes by chance, and are looked for in text alone
NOBODY = {"Test", "Here", "First", "Last"}  # what pydicom's files have for names, and English has for words
OWN = "1.2.840.10008."  # UIDs of the standard itself
IDENTIFY = {
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress"),
    *("StationName", "DeviceSerialNumber", "PatientAddress", "PatientTelephoneNumbers", "RequestingService"),
    *("PerformedProcedureStepID", "RequestedProcedureID", "ScheduledProcedureStepID", "IssuerOfPatientID"),
}


def identifying(path: Path) -> set[str]:
    """Names and their parts, ids, dates and UIDs of a DICOM file, and hashes of ids that anybody could compute."""
    found = set()
    for tag, vr, text in texts(pydicom.dcmread(path, stop_before_pixels=True)):
        if vr == "PN":
            found |= {part.strip() for part in re.split(r"[\^=]", text) if len(part.strip().encode()) >= 4}
        elif vr in ("DA", "DT"):
            found.add(text[:8])
        elif vr == "UI" and not text.startswith(OWN):
            found.add(text)
        elif keyword_for_tag(tag) in IDENTIFY:
            found.add(text)
            if len(text) >= 3:
                found |= {hashlib.new(kind, text.encode()).hexdigest()[:12] for kind in ("md5", "sha1", "sha256")}
    long = {word for word in found if len(word.encode()) >= (8 if word.isdigit() else 4)}
    return {word for word in long - NOBODY if len(set(word)) > 1}


def hits(root: Path, words: Iterable[str]) -> list[tuple[str, str]]:
    """(file, word) for every word that is in a file below a folder, or in its name."""
    forms = {word: _forms(word) for word in words}
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        layers = [(name.encode(), True), *(_layers(path.read_bytes()) if path.is_file() else ())]
        text = b"\n".join(layer for layer, is_text in layers if is_text).lower()
        everything = b"\n".join(layer for layer, _ in layers).lower()
        for word, written in forms.items():
            if any(form in (text if len(word.encode()) < SHORT else everything) for form in written):
                found.append((name, word))
    return found


def _forms(word: str) -> set[bytes]:
    """A word as a program may write it; in small letters."""
    written = {word, html.escape(word), json.dumps(word)[1:-1], quote(word), word.replace("^", " ")}
    if re.fullmatch(r"(19|20)\d{6}", word):
        written |= {f"{word[:4]}-{word[4:6]}-{word[6:]}", f"{word[6:]}.{word[4:6]}.{word[:4]}"}
    return {form.lower().encode(code) for form in written for code in ("utf-8", "utf-16-le", "utf-32-le")}


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _layers(content: bytes) -> Iterator[tuple[bytes, bool]]:
    """The bytes of a file, and what is packed in them: chunks of a PNG, headers, members, pictures in a page.

    Each with whether it is text.
    """
    embedded = re.compile(rb"base64,([A-Za-z0-9+/=]+)")
    yield embedded.sub(b"", content), _is_text(content)  # base64 holds short words by chance
    for picture in embedded.findall(content):
        yield from _layers(base64.b64decode(picture))
    if content.startswith(b"\x89PNG"):
        yield from _chunks(content)
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode(), True
                yield from _layers(archive.read(name))
    elif content.startswith(b"\x93NUMPY"):
        yield content[10 : 10 + struct.unpack("<H", content[8:10])[0]], True
    elif len(content) > 8 and content[8:9] == b"{":  # safetensors
        yield content[8 : 8 + struct.unpack("<Q", content[:8])[0]], True


def _chunks(content: bytes) -> Iterator[tuple[bytes, bool]]:
    at = 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for start in range(len(data)):
                try:
                    yield zlib.decompress(data[start:]), True
                    break
                except zlib.error:
                    continue
        if kind != b"IDAT":
            yield kind + data, True
        at += length + 12
