"""A path as a source writes it -> the file it means, which has to lie inside the source's folder."""

from pathlib import Path

from medsynth.data import safe_text
from medsynth.errors import BadData


def inside(folder: Path, text: str, where: str) -> Path:
    """The file that `text` names, links followed; it need not exist. `folder` has to be resolved.

    Raises BadData, with `where`, for a path that leaves the folder or that no file can have.
    """
    shown = safe_text.cell(text)
    if "\0" in text:
        raise BadData(f"{where}: the path {shown!r} has a NUL character in it", hint="write the path anew")
    parts = text.replace("\\", "/").split("/")  # tables written on Windows
    for part in parts:
        if safe_text.is_device(part):
            raise BadData(f"{where}: {shown!r} is the name of a device on Windows", hint="rename the file")
    try:
        path = (folder / "/".join(parts)).resolve()
    except (OSError, RuntimeError) as error:
        raise BadData(
            f"{where}: the path {shown!r} leads nowhere: {error}", hint="mend the link, or take the row out"
        ) from None
    if not path.is_relative_to(folder):
        raise BadData(
            f"{where}: {shown!r} leaves the folder of the source",
            hint=f"copy the file into {folder}, and name it by its path from there",
        )
    return path
