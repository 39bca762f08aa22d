"""A run killed with SIGKILL and resumed ends with the weights of one left alone."""

import random
import signal
import subprocess
import sys

from tests.core.tiny import final_weights, train

# Trains the run named on the command line and kills itself, without a word, after the N-th event.
SCRIPT = """
import os, signal, sys
from pathlib import Path
from core.control import RunControl
from core.runs.folder import RunFolder
from core.training.loop import adapt
for number, _ in enumerate(adapt(RunControl(), RunFolder(Path(sys.argv[1])))):
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_at_five_random_moments_and_resumed_it_is_the_same_run(make_run):
    whole = make_run("whole", training__log_interval=1, training__steps=14)
    killed = make_run("killed", training__log_interval=1, training__steps=14)
    train(whole)
    draw = random.Random(7)
    for _ in range(5):
        command = [sys.executable, "-c", SCRIPT, str(killed.path), str(draw.randint(4, 9))]
        outcome = subprocess.run(command, timeout=120, check=False)
        assert outcome.returncode == -signal.SIGKILL
    assert killed.status()["state"] == "running"  # it could not say goodbye
    train(killed)
    assert final_weights(killed) == final_weights(whole)
