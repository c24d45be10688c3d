"""Loaded by every Python process that a test starts."""

import sys

from no_network import refuse

sys.addaudithook(refuse)
