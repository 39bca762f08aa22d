import math
import threading

from core.control import RunControl
from core.events import Scores


def test_scores_have_no_nan_in_json():
    scores = Scores(50.0, 75.0, {"a": 50.0, "b": math.nan}, ((3, 1), (0, 0)))
    assert scores.to_json() == {
        "miou": 50.0, "pixel_accuracy": 75.0, "per_class": {"a": 50.0, "b": None}, "confusion": [[3, 1], [0, 0]],
    }  # fmt: skip


def test_stop_releases_a_pause():
    control = RunControl()
    control.pause()
    assert control.paused
    waiter = threading.Thread(target=control.wait_while_paused)
    waiter.start()
    control.stop()
    waiter.join(timeout=5)
    assert not waiter.is_alive()
    assert control.stopping
    assert not control.paused


def test_changes_come_in_order_and_are_copies():
    control, change = RunControl(), {"mask.ratio": 0.4}
    control.change(change)
    control.change({"mask.ratio": 0.5})
    change["mask.ratio"] = 9
    assert [control.next_changes(), control.next_changes(), control.next_changes()] == [
        {"mask.ratio": 0.4}, {"mask.ratio": 0.5}, None,
    ]  # fmt: skip
