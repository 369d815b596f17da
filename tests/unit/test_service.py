"""What a service is told is written as the provider writes it."""

import pytest

from components.service import write_duration


@pytest.mark.parametrize(("seconds", "written"), [(5, "5s"), (59, "59s"), (60, "1m"), (75, "1m15s"), (600, "10m")])
def test_a_duration_is_written_as_the_provider_gives_it_back(seconds: int, written: str) -> None:
    assert write_duration(seconds) == written
