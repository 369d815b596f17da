"""Whose turn it is, over time, as one replica sees it."""

from coordinator.colours import Colour, Turn

BLUE, GREEN = Colour.BLUE, Colour.GREEN
BOTH = {"blue", "green"}


def stands_by(turn: Turn, chosen: Colour, present: set[str], moment: float) -> bool:
    """After a look at what the store says at that second."""
    turn.look(chosen, present, moment)
    return turn.standby


def test_who_was_chosen_serves_at_once_and_the_other_holds_on() -> None:
    turn = Turn(BLUE)
    assert turn.standby, "a replica begins so"
    assert not stands_by(turn, BLUE, BOTH, 0)
    assert not stands_by(turn, GREEN, BOTH, 10), "the other one has only just been chosen"
    assert not stands_by(turn, GREEN, BOTH, 12.9)
    assert stands_by(turn, GREEN, BOTH, 13)
    assert not stands_by(turn, BLUE, BOTH, 14)


def test_a_switch_that_is_taken_back_changes_nothing() -> None:
    turn = Turn(BLUE)
    story = ((0, BLUE), (1, GREEN), (2, BLUE), (5, GREEN), (7.5, GREEN))
    assert not any(stands_by(turn, chosen, BOTH, moment) for moment, chosen in story)


def test_nobody_stands_by_for_one_that_is_not_there() -> None:
    turn = Turn(BLUE)
    assert not stands_by(turn, BLUE, BOTH, 0)
    assert not any(stands_by(turn, GREEN, {"blue"}, moment) for moment in range(1, 20))


def test_who_stands_by_serves_when_the_chosen_one_is_gone_for_long() -> None:
    turn = Turn(BLUE)
    assert stands_by(turn, GREEN, {"blue"}, 0)
    assert stands_by(turn, GREEN, {"blue"}, 4.9)
    assert not stands_by(turn, GREEN, {"blue"}, 5)
    assert not stands_by(turn, GREEN, BOTH, 6), "the chosen one is back, and the proxies have to find it"
    assert stands_by(turn, GREEN, BOTH, 9)


def test_a_store_that_was_away_makes_nobody_missing() -> None:
    turn = Turn(BLUE)
    assert stands_by(turn, GREEN, {"blue"}, 0)
    turn.forget()
    assert stands_by(turn, GREEN, {"blue"}, 5)
