"""The secret of a site: made once, for this user's eyes only, outside every run."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from medsynth.data import site_secret
from medsynth.data.site_secret import SiteSecret
from medsynth.errors import Refused


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    """Where the user's own secret lies; not there yet."""
    monkeypatch.delenv(site_secret.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "medsynth" / "site-secret"


def named(path: Path, monkeypatch, content: str = "0123456789abcdef" * 4, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    monkeypatch.setenv(site_secret.ENVIRONMENT, str(path))
    return path


def test_it_is_made_at_the_first_use_and_is_the_same_at_the_second(config):
    first = site_secret.load()
    assert site_secret.load().key == first.key
    assert re.fullmatch(rb"[0-9a-f]{64}", first.key)
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in config.parent.iterdir()] == ["site-secret"]


def test_a_secret_that_another_command_makes_at_the_same_moment_is_kept(config):
    config.parent.mkdir(parents=True)
    config.write_text("f" * 64)
    config.chmod(0o600)
    site_secret._make(config)  # it looked before the file was there
    assert site_secret.load().key == b"f" * 64


def test_a_secret_that_was_named_and_is_gone_is_not_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv(site_secret.ENVIRONMENT, str(tmp_path / "gone"))
    with pytest.raises(Refused, match="there is no site secret at"):
        site_secret.load()
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_secret_that_others_may_read_or_change_is_refused(tmp_path, monkeypatch, mode):
    path = named(tmp_path / "secret", monkeypatch, mode=mode)
    with pytest.raises(Refused, match="other users may read or change") as failure:
        site_secret.load()
    assert failure.value.hint == f"chmod 600 {path}"


def test_a_secret_that_could_be_guessed_is_refused(tmp_path, monkeypatch):
    named(tmp_path / "secret", monkeypatch, "hospital\n")
    with pytest.raises(Refused, match="has 8 bytes, not 32 or more"):
        site_secret.load()


def test_a_secret_in_the_run_is_refused(tmp_path, monkeypatch):
    named(tmp_path / "run" / "x" / "secret", monkeypatch)
    with pytest.raises(Refused, match="lies in"):
        site_secret.load(tmp_path / "elsewhere", tmp_path / "run")
    assert site_secret.load(tmp_path / "elsewhere").key


def test_a_pseudonym_follows_the_id_and_the_secret_and_is_no_plain_hash_of_the_id():
    one, other = SiteSecret(b"a" * 32), SiteSecret(b"b" * 32)
    assert one.pseudonym("007") == one.pseudonym("007")
    assert len({one.pseudonym("007"), one.pseudonym("7"), other.pseudonym("007"), other.pseudonym("7")}) == 4
    assert hashlib.sha256(b"007").hexdigest()[:16] not in one.pseudonym("007")
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint not in one.pseudonym("")


def test_nothing_that_is_printed_has_the_key_in_it():
    assert "a" * 32 not in repr(SiteSecret(b"a" * 32))


def test_the_remark_does_not_say_who_uses_the_machine(tmp_path, monkeypatch):
    monkeypatch.delenv(site_secret.ENVIRONMENT, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "xaviera"))
    assert "~/.config/medsynth/site-secret" in site_secret.remark()
    assert "xaviera" not in site_secret.remark()


@pytest.mark.parametrize("name", [site_secret.ENVIRONMENT, "XDG_CONFIG_HOME"])
def test_of_a_secret_outside_the_users_folder_the_remark_says_no_place(tmp_path, monkeypatch, name):
    """It is written into the run, which others get."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for other in (site_secret.ENVIRONMENT, "XDG_CONFIG_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(tmp_path / "xaviera"))
    assert name in site_secret.remark()
    assert str(tmp_path) not in site_secret.remark()
    assert "xaviera" not in site_secret.remark()


def test_it_is_synced_with_its_name_and_the_folders_that_are_new(config, monkeypatch):
    """Or a power cut could leave pseudonyms whose secret is gone."""
    seen, sync = [], os.fsync

    def synced(handle):
        seen.append(os.fstat(handle).st_ino)
        sync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    site_secret.load()
    secret, inside, outside = (path.stat().st_ino for path in (config, config.parent, config.parent.parent))
    assert {secret, inside, outside, config.parent.parent.parent.stat().st_ino} <= set(seen)
    assert seen.index(secret) < len(seen) - 1 - seen[::-1].index(inside)


def test_it_is_made_on_a_disk_without_hard_links(config, monkeypatch):
    def no_links(*_paths):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    first = site_secret.load()
    assert config.stat().st_mode & 0o777 == 0o600
    site_secret._make(config)  # another command, which looked before the file was there
    assert site_secret.load().key == first.key
    assert [path.name for path in config.parent.iterdir()] == ["site-secret"]
