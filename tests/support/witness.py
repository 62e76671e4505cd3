"""How busy the machine is, as a thread sees it that wants to run every millisecond."""

import threading
import time
from typing import Self


class Witness:
    """Inside `with`: `worst` is the longest, in seconds, that it had to wait for its turn."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.001):
            now = time.monotonic()
            self.worst = max(self.worst, now - before - 0.001)
            before = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()
