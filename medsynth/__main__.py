"""The program's door: environment first, then the command line."""

import os
import signal


def main() -> None:
    """Run one command. Nothing heavy may be imported before these settings stand."""
    # Until the command listens, Ctrl-C ends the program without a word: nothing could be lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Threads that wait by spinning slow a shared machine down many times over; read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from medsynth.cli import run

    run()


if __name__ == "__main__":
    main()
