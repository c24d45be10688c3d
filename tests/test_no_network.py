"""Nothing is sent and nothing is fetched: neither by a test nor by the program, whatever is asked of it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from shell import ended, start, without_network

ELSEWHERE = "192.0.2.1"  # of an example's network: it leads nowhere
ASKING = f"import socket; socket.socket().connect(({ELSEWHERE!r}, 80))"


def test_no_test_opens_a_connection_or_looks_a_name_up() -> None:
    with pytest.raises(OSError, match=f"no test may connect to {ELSEWHERE}"):
        socket.socket().connect((ELSEWHERE, 80))
    with pytest.raises(OSError, match=r"no test may look up 'example\.org'"):
        socket.getaddrinfo("example.org", 443)


def test_processes_of_one_machine_may_talk() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_what_a_test_starts_opens_no_connection_either() -> None:
    asked = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, check=False)
    assert f"no test may connect to {ELSEWHERE}" in asked.stderr
    process = start(launcher=("-c", ASKING))
    assert f"no test may connect to {ELSEWHERE}" in ended(process).err


WATCHING = """
import json, os, runpy, sys
seen = {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("timm", "diffusers", "transformers", "huggingface_hub", "torch", "torchvision"):
            seen.setdefault(name, os.environ.get("HF_HUB_OFFLINE"))
sys.meta_path.insert(0, Watch())
sys.argv = ["medsynth", "doctor", "--json"]
try:
    runpy.run_module("medsynth", run_name="__main__")
except SystemExit:
    pass
print(json.dumps(seen))
"""


AS_A_LIBRARY = "import medsynth.data.images, json, os; print(json.dumps({'timm': os.environ.get('HF_HUB_OFFLINE')}))"


@pytest.mark.parametrize("program", [WATCHING, AS_A_LIBRARY], ids=["command", "library"])
def test_libraries_are_told_to_stay_offline_before_any_of_them_is_loaded(tmp_path: Path, program: str) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    seen = json.loads(said.stdout.splitlines()[-1])
    assert ({"timm", "torch"} if program == WATCHING else {"timm"}) <= seen.keys()
    assert set(seen.values()) == {"1"}


def test_where_the_system_lets_us_a_command_has_no_network_at_all() -> None:
    """What the demo is tested in: not even a library that is no Python gets out."""
    asked = [*without_network(), sys.executable, "-S", "-c", ASKING]
    if without_network():
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert "Network is unreachable" in told.stderr
