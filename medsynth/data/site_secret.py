"""The secret of a site, by which ids of patients become pseudonyms (HMAC, RFC 2104). It lies outside every run.

Who has it can test whether a known id is in a run, and the same patient has the same pseudonym only under the same
secret. A run keeps a fingerprint of it, from which it cannot be found.
"""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from medsynth.artifacts import files
from medsynth.errors import Refused

ENVIRONMENT = "MEDSYNTH_SITE_SECRET"
SHORTEST = 32  # bytes: too many to be guessed from the fingerprint
MAKE = "python3 -c 'import secrets; print(secrets.token_hex(32))'"


@dataclass(frozen=True)
class SiteSecret:
    """A key that no message and no file shows."""

    key: bytes = field(repr=False)

    @classmethod
    def of_this_moment(cls) -> "SiteSecret":
        """One that is forgotten: to count patients in a dry run, which writes nothing."""
        return cls(secrets.token_bytes(SHORTEST))

    def pseudonym(self, patient_id: str) -> str:
        """The same for the same id; 64 bits, so that even a million patients keep apart."""
        return f"P{self._digest('patient', patient_id)[:16]}"

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell one secret from another."""
        return self._digest("fingerprint", "")[:8]

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}\0{text}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def load(*outside: Path) -> SiteSecret:
    """The site's secret: of the file that MEDSYNTH_SITE_SECRET names, else of the user's own, made at the first use.

    Raises Refused for one that lies in one of the folders `outside`, is missing where it was named, can be read by
    other users, or is short.
    """
    path, named = place()
    for folder in outside:
        if path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"the site secret {path} lies in {folder}, which others may get", hint=_elsewhere(path))
    if not path.exists():
        if named:
            raise Refused(f"there is no site secret at {path}", hint=f"was it moved? A new one: {MAKE} > {path}")
        _make(path)
    try:
        mode, key = path.stat().st_mode, path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise Refused(f"the site secret {path} cannot be read: {error.strerror}", hint=f"chmod 600 {path}") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise Refused(f"other users may read or change the site secret {path}", hint=f"chmod 600 {path}")
    if len(key) < SHORTEST:
        raise Refused(f"the site secret {path} has {len(key)} bytes, not {SHORTEST} or more", hint=f"{MAKE} > {path}")
    return SiteSecret(key)


def place() -> tuple[Path, bool]:
    """Where the secret lies, and whether somebody has named the place."""
    given = os.environ.get(ENVIRONMENT)
    if given:
        return Path(given).expanduser().absolute(), True
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config.absolute() / "medsynth" / "site-secret", False


def remark() -> str:
    """What somebody has to know who has made pseudonyms. It stays in the run: no place of the machine is in it."""
    (path, named), home = place(), Path.home()
    shown = "medsynth/site-secret of XDG_CONFIG_HOME, which is made at the first use"
    if named:
        shown = f"the file that {ENVIRONMENT} names"
    elif path.is_relative_to(home):
        shown = f"~/{path.relative_to(home).as_posix()}, which is made at the first use"
    return (
        f"Patients' ids became pseudonyms by the site secret in {shown}. Keep it: without it these images cannot be "
        "read into this run again. Keep it to yourselves: with it, ids can be tried out."
    )


def _make(path: Path) -> None:
    """Write a new secret for this user's eyes only; whole from the first moment, and never over another one."""
    if not path.parent.is_dir():
        files.make_folder(path.parent)
        path.parent.chmod(0o700)
    scratch, text = path.with_name(f".{path.name}.{os.getpid()}"), f"{secrets.token_hex(SHORTEST)}\n"
    try:
        _write_new(scratch, text)
        try:
            os.link(scratch, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links: whole only once it is written
            _write_new(path, text)
        files.sync_folder(path.parent)
    except FileExistsError:
        pass  # another command made one at the same moment: that one counts
    finally:
        scratch.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    """Write and sync a file that must not be there yet."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _elsewhere(path: Path) -> str:
    return f"move it where only this site reads it, and {ENVIRONMENT}=ITS-NEW-PLACE; it was {path}"
