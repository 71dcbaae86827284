"""Running many calls at once from code that is not asynchronous, and knowing when to give up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from baserate.terms.errors import LabelError

Q = TypeVar("Q")
A = TypeVar("A")

#: Code of the error that ends a run whose budget is spent.
BUDGET_SPENT = "judge_budget"
_FIRST_FAILURES = 3
_FAILURES = 10


class Breaker:
    """Stops a run whose endpoint is down, instead of failing every unit of it.

    It gives up after 3 failed questions where none was ever answered, later after as many in a
    row as 10 or twice the calls at once. Each question counts once, after all its tries.

    Args:
        concurrency: Calls at once: so many fail together in one short outage.
    """

    def __init__(self, concurrency: int) -> None:
        self._limit = max(_FAILURES, 2 * concurrency)
        self._in_a_row = 0
        self.has_answered = False

    def answered(self) -> None:
        """A question was settled."""
        self._in_a_row = 0
        self.has_answered = True

    def failed(self, what: str) -> None:
        """A question failed for good. Raises: LabelError if that was one too many."""
        self._in_a_row += 1
        limit = self._limit if self.has_answered else _FIRST_FAILURES
        if self._in_a_row >= limit:
            raise LabelError(
                f"the judge's endpoint is down: {limit} questions in a row failed",
                code="judge_endpoint_down",
                where="judge.base_url",
                got=f"{what}, at the last one",
                hint="bring the endpoint up and run the command again: answers so far are kept, "
                "and nothing that is kept is asked or paid for again",
            )


async def each_answer(
    ask: Callable[[Q], Awaitable[A]], questions: Iterable[Q], *, breaker: Breaker, concurrency: int
) -> AsyncGenerator[A]:
    """Answers as they arrive: one at a time until one has come, then many at once.

    Raises: whatever ``ask`` raises; calls under way are then dropped, except where the budget is
        spent: those are paid for, so they are waited for and ``ask`` can keep their answers.
    """
    waiting = deque(questions)
    while waiting and not breaker.has_answered:
        yield await ask(waiting.popleft())
    done: set[asyncio.Future[A]] = set()
    running: set[asyncio.Future[A]] = set()
    try:
        while waiting or running:
            while waiting and len(running) < concurrency:
                running.add(asyncio.ensure_future(ask(waiting.popleft())))
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    except LabelError as error:
        if running and error.code == BUDGET_SPENT:
            await asyncio.wait(running)
        raise
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*done, *running, return_exceptions=True)


def in_step(answers: Callable[[], AsyncIterator[A]]) -> Iterator[A]:
    """An asynchronous iterator as a plain one, also where a loop is running (a notebook).

    Args:
        answers: Makes the iterator, within the loop that will drive it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        yield from _driven(answers)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield from pool.submit(lambda: list(_driven(answers))).result()


def _driven(answers: Callable[[], AsyncIterator[A]]) -> Iterator[A]:
    async def start() -> AsyncIterator[A]:
        return answers()

    async def step(source: AsyncIterator[A]) -> tuple[A, ...]:
        try:
            return (await anext(source),)
        except StopAsyncIteration:
            return ()

    async def stop(source: AsyncIterator[A]) -> None:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()

    with asyncio.Runner() as runner:
        source = runner.run(start())
        try:
            while found := runner.run(step(source)):
                yield found[0]
        finally:
            runner.run(stop(source))
