"""What is seen twice is evaluated once, and memory stays flat."""

from __future__ import annotations

import pytest

from kpr_sender.preflight.memory import MOST, Memory


def test_a_value_is_made_once_and_an_error_is_not_remembered() -> None:
    asked: list[int] = []

    def make(number: int) -> float:
        asked.append(number)
        return 1 / number

    memory = Memory(make)
    assert [memory[2], memory[2], memory[4]] == [0.5, 0.5, 0.25]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = memory[0]
    assert asked == [2, 4, 0, 0]
    assert memory.keys() == {2, 4}


def test_there_are_never_more_than_the_bound() -> None:
    memory = Memory(str)
    assert all(memory[number] == str(number) and len(memory) <= MOST for number in range(2 * MOST + 1))
    assert memory.keys() == {2 * MOST}
