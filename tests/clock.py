"""A clock that a test turns forward."""

import time
from dataclasses import dataclass


@dataclass
class Clock:
    ahead: float = 0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
