"""The program's door: environment first, then the command line."""

import os
import signal


def main() -> None:
    """Run one command. Nothing heavy may be imported before these settings stand."""
    # Until the command listens, Ctrl-C ends the program without a word: nothing could be lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Threads that wait by spinning slow a shared machine down many times over; read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # No library may look for a network on its own.
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    from medsynth.cli import run

    run()


if __name__ == "__main__":
    main()
