"""ResultSet and GroupResult: the handles on many tasks, which cost a few questions however many these are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from asgiref.sync import sync_to_async

from django_tasks import clock, exceptions, states

from .async_result import AsyncResult, EagerResult, OnMessage
from .handler import results
from .joining import is_inside_task, refuse_to_join
from .moments import moments
from .store import Record

if TYPE_CHECKING:
    from .reading import Progress

#: What a set has as members: a group among them stands for the list of its results.
Handle: TypeAlias = "AsyncResult[Any] | GroupResult"
#: Called with the id and the result of each task that ended.
Callback = Callable[[str, Any], object]


class ResultSet:
    """Handles on any tasks, in the order of their results.

    What is asked of the set is asked for all that have not ended yet, some hundred with one question. Tasks that
    ignore their results are never waited for and have the result `None`.
    """

    #: What comes before it in a chain.
    known_parent: Handle | None = None

    def __init__(self, results: Iterable[Handle] = ()) -> None:
        self.results = list(results)

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        callback: Callback | None = None,
        *,
        on_message: OnMessage | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """Wait for all and return their results in order.

        The first failure that is seen is raised here again, or with `propagate=False` stands among the results. After
        `timeout` seconds for all together `django_tasks.exceptions.TimeoutError` is raised; the tasks go on.
        A `callback` is called with the id and the result of each as it ends, instead of returning any; `on_message`
        with each state of each that is seen, the last one at least, as by `AsyncResult.get` but without the children.
        The other options are those of `AsyncResult.get`.
        """
        self._refuse_to_join(disable_sync_subtasks)
        if callback is None and on_message is None:
            self._wait(timeout, propagate, interval)
            return self._ends(propagate)
        for handle in self._endings(timeout, interval, on_message):
            value = handle.end(propagate)
            if callback is not None:
                callback(handle.id, value)
        return self._ends(propagate) if callback is None else []

    join = join_native = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        *,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """`get` for coroutines: the event loop goes on meanwhile. The database is asked at a growing interval."""
        await sync_to_async(self._refuse_to_join)(disable_sync_subtasks)
        async for _ in moments(timeout, interval):
            if await sync_to_async(self._is_over)(propagate):
                return self._ends(propagate)
        raise exceptions.TimeoutError(f"Some of {self!r} have not ended after {timeout} seconds; they go on.")

    ajoin = aget

    def iterate(
        self, timeout: float | None = None, propagate: bool = True, interval: float | None = None
    ) -> Iterator[Any]:
        """The results as the tasks end."""
        for handle in self._joined(timeout, interval):
            yield handle.end(propagate)

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float | None = None,
        *,
        on_message: OnMessage | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The id of each task as it ends, and what `on_message` is told of the end."""
        for handle in self._joined(timeout, interval, on_message):
            yield handle.id, handle.record.to_body()

    def _joined(
        self, timeout: float | None, interval: float | None, on_message: OnMessage | None = None
    ) -> Iterator[AsyncResult[Any]]:
        self._refuse_to_join()
        yield from self._endings(timeout, interval, on_message)

    def _refuse_to_join(self, refuse: bool = True) -> None:
        if refuse and is_inside_task() and not self.ready():
            refuse_to_join(str(self))

    def _wait(self, timeout: float | None, propagate: bool, interval: float | None) -> None:
        for handle in self._endings(timeout, interval, in_order=True):
            handle.end(propagate)

    def _endings(
        self,
        timeout: float | None,
        interval: float | None,
        on_message: OnMessage | None = None,
        in_order: bool = False,
    ) -> Iterator[AsyncResult[Any]]:
        """The handles on single tasks, each when its end is known. For `in_order` see `Results.endings`."""

        def tell(record: Record) -> None:
            if on_message is not None:
                on_message(record.to_body())

        waiting = self._unsettled()
        for handle in [handle for handle in self._singles() if handle.is_settled]:
            if not handle.ignored:
                tell(handle.record)
            yield handle
        endings = results().endings(
            list(waiting), timeout=timeout, interval=interval, in_order=in_order, on_change=tell
        )
        for record in endings:
            for handle in waiting[record.id]:
                handle.learn(record)
                yield handle

    def _is_over(self, propagate: bool) -> bool:
        """Look once: is there nothing more to wait for?"""
        is_over = self._look(until_unready=True)
        self._end_settled(propagate)
        return is_over

    def _end_settled(self, propagate: bool) -> None:
        for handle in self._singles():
            if handle.is_settled:
                handle.end(propagate)

    def _ends(self, propagate: bool) -> list[Any]:
        return [
            handle._ends(propagate) if isinstance(handle, ResultSet) else handle.end(propagate)
            for handle in self.results
        ]

    # -- asking

    def ready(self) -> bool:
        """Have all ended?"""
        return self._look(until_unready=True)

    def waiting(self) -> bool:
        """Are some still to end?"""
        return not self.ready()

    def successful(self) -> bool:
        """Have all ended, and in success?"""
        return self.ready() and all(status == states.SUCCESS for status in self._statuses())

    def failed(self) -> bool:
        """Have some ended in failure, or been revoked?"""
        self.look()
        return any(status in states.PROPAGATE_STATES for status in self._statuses())

    def completed_count(self) -> int:
        """How many have ended in success."""
        self.look()
        return sum(status == states.SUCCESS for status in self._statuses())

    def maybe_throw(self, callback: Callback | None = None, propagate: bool = True) -> None:
        """Raise the first failure in order, if there is one. `callback` is told of those before it that have ended."""
        self.look()
        for handle in self._singles():
            if handle.is_settled:
                value = handle.end(propagate)
                if callback is not None:
                    callback(handle.id, value)

    maybe_reraise = maybe_throw

    def look(self) -> None:
        """Ask for the ends of all that are not known to have ended, and keep them."""
        self._look(until_unready=False)

    def _look(self, *, until_unready: bool) -> bool:
        """Have all ended? With `until_unready` no more is asked once it is clear that they have not."""
        waiting, are_ready = self._unsettled(), True
        for found in results().look_up_parts(list(waiting)):
            for id, record in found.items():
                are_ready = are_ready and record.is_ready
                for handle in waiting[id]:
                    handle.learn(record)
            if until_unready and not are_ready:
                break
        return are_ready

    def _singles(self) -> Iterator[AsyncResult[Any]]:
        """The handles on single tasks, also those in sets among us."""
        for handle in self.results:
            if isinstance(handle, ResultSet):
                yield from handle._singles()
            else:
                yield handle

    def _unsettled(self) -> dict[str, list[AsyncResult[Any]]]:
        """The single tasks of which there is still something to ask, by their ids."""
        found: dict[str, list[AsyncResult[Any]]] = {}
        for handle in self._singles():
            if not handle.is_settled:
                found.setdefault(handle.id, []).append(handle)
        return found

    def _statuses(self) -> Iterator[str]:
        return (handle.state for handle in self._singles() if handle.is_settled and not handle.ignored)

    # -- changing what becomes of them

    def revoke(self, terminate: bool = False, signal: str | None = None) -> int:
        """Make sure that those which have not begun never do; how many these were. See `AsyncResult.revoke`.

        Of chains among them all steps are meant.
        """
        steps = _singles_among(self._lineage(before=self.known_parent))
        return results().revoke_many([step.id for step in steps if not step.is_settled], terminate=terminate)

    def forget(self) -> None:
        """Remove what is stored of those that have ended, and of the parents that are known here."""
        lineage = list(self._lineage(before=None))
        stored = [handle for handle in _singles_among(lineage) if not isinstance(handle, EagerResult)]
        if stored:
            results().forget_many([handle.id for handle in stored])
            groups = [handle for handle in lineage if isinstance(handle, GroupResult)]
            results().forget_groups([group.id for group in groups if group.id is not None])
        for handle in stored:
            handle.unlearn()

    def _lineage(self, before: Handle | None) -> Iterator[Handle]:
        """What stands for the set, and the earlier steps of chains back to, and without, what is `before`."""
        met = {str(before)}
        ahead: list[Handle | None] = self._ourselves()
        while ahead:
            handle = ahead.pop()
            if handle is not None and str(handle) not in met:
                met.add(str(handle))
                yield handle
                ahead += [handle.known_parent, *(handle.results if isinstance(handle, GroupResult) else ())]

    def _ourselves(self) -> list[Handle | None]:
        return [*self.results]

    # -- the members

    @property
    def children(self) -> Sequence[Handle]:
        return self.results

    def add(self, result: Handle) -> None:
        """Make it a member, if it is none."""
        self.update([result])

    def update(self, results: Iterable[Handle]) -> None:
        """Make those of these members that are none."""
        members = {str(handle) for handle in self.results}
        for handle in results:
            if str(handle) not in members:
                members.add(str(handle))
                self.results.append(handle)

    def remove(self, result: Handle | str) -> None:
        """Take a member, or the one of an id, out. Raises `KeyError` if there is none."""
        try:
            self.results.remove(AsyncResult[Any](result) if isinstance(result, str) else result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Handle | str) -> None:
        """Take a member out, if it is one."""
        with contextlib.suppress(KeyError):
            self.remove(result)

    def clear(self) -> None:
        """Take all members out."""
        self.results.clear()

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Handle]:
        return iter(self.results)

    def __getitem__(self, index: int) -> Handle:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultSet) and other.results == self.results

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(map(str, self.results))}]>"


def _singles_among(handles: Iterable[Handle]) -> Iterator[AsyncResult[Any]]:
    return (handle for handle in handles if isinstance(handle, AsyncResult))


class GroupResult(ResultSet):
    """The handle on a group: on all its tasks together.

    How far a group is stands in a row of its own, so that asking for it and waiting for it cost the same whether it
    has four tasks or ten thousand. `parent` is what comes before it in a chain.
    """

    def __init__(
        self,
        id: str | None = None,
        results: Iterable[Handle] | None = None,
        parent: Handle | None = None,
    ) -> None:
        super().__init__(results or ())
        self.id = id
        self.parent = parent
        # Found by its rows while some of its tasks had none: of chains that had not come to their last step.
        self._grows = False

    @property
    def known_parent(self) -> Handle | None:  # type: ignore[override]
        return self.parent

    def _ourselves(self) -> list[Handle | None]:
        return [self]

    # -- waiting

    def _wait(self, timeout: float | None, propagate: bool, interval: float | None) -> None:
        left = self._wait_for_row(timeout, propagate, interval)
        super()._wait(left, propagate, interval)

    def _wait_for_row(self, timeout: float | None, propagate: bool, interval: float | None) -> float | None:
        """Until the row says that all have ended, if it can; how much of the time is left."""
        ends = None if timeout is None else clock.monotonic() + timeout
        if self.id is not None and self._asks():
            failed = 0
            looks = results().progresses(self.id, timeout=timeout, interval=interval)
            with contextlib.closing(looks):
                while (progress := self._counted(next(looks))) and not progress.is_ready:
                    if propagate and progress.failed > failed:
                        failed = progress.failed
                        self._raise_failure(self.id)
        return None if ends is None else max(0.0, ends - clock.monotonic())

    def _endings(
        self,
        timeout: float | None,
        interval: float | None,
        on_message: OnMessage | None = None,
        in_order: bool = False,
    ) -> Iterator[AsyncResult[Any]]:
        if self._grows:
            timeout = self._wait_for_row(timeout, False, interval)
        yield from super()._endings(timeout, interval, on_message, in_order)

    def _is_over(self, propagate: bool) -> bool:
        progress = self._progress()
        if progress is None or progress.is_ready:
            return super()._is_over(propagate)
        if self.id is not None and propagate and progress.failed:
            self._raise_failure(self.id)
        return False

    def _raise_failure(self, id: str) -> None:
        """One of the tasks has ended without success: raise what it failed with, unless it was ignored."""
        if failure := results().first_failure(id):
            raise failure.result

    # -- asking

    def ready(self) -> bool:
        progress = self._progress()
        return super().ready() if progress is None else progress.is_ready

    def successful(self) -> bool:
        progress = self._progress()
        return super().successful() if progress is None else progress.is_ready and not progress.failed

    def failed(self) -> bool:
        """Have some ended without success?"""
        progress = self._progress()
        return super().failed() if progress is None else progress.failed > 0

    def completed_count(self) -> int:
        progress = self._progress()
        return super().completed_count() if progress is None else progress.completed - progress.failed

    def _asks(self) -> bool:
        """Is there anything that is not known here?"""
        return self._grows or bool(self._unsettled())

    def _progress(self) -> Progress | None:
        """What the group's row has counted, if it has one and there is anything to ask."""
        if self.id is None or not self._asks():
            return None
        return self._counted(results().progress(self.id))

    def _counted(self, progress: Progress | None) -> Progress | None:
        """What a row has counted, if that were the very members that are here."""
        if self._grows:
            if progress is None or progress.is_ready:
                self._take_in_the_rest()
            return progress
        singles = [handle for handle in self.results if isinstance(handle, AsyncResult)]
        tracked = sum(not handle.ignored for handle in singles)
        if progress is None or len(singles) < len(self) or progress.total not in (tracked, len(self)):
            return None
        return progress

    def _take_in_the_rest(self) -> None:
        """All have rows now, if they ever will."""
        known = {str(handle): handle for handle in self.results}
        members = results().members([str(self)])[str(self)]
        self.results = [known.get(id) or AsyncResult(id) for id in members]
        self._grows = False

    # -- keeping

    def save(self) -> None:
        """Keep which tasks these are, for `restore` in another process. What was sent as a group needs no saving."""
        results().save_group(self._own_id(), json.dumps(self.as_tuple()))

    def delete(self) -> None:
        """Forget what `save` has kept."""
        results().unsave_group(self._own_id())

    @classmethod
    def restore(cls, id: str) -> Self | None:
        """The handle on a group that was saved or sent, or `None` if nothing is known of it.

        Of a group that was not saved, tasks that end a chain are among the members when it has come to them, and
        when all have ended at the latest.
        """
        kept = results().saved_group(id)
        if kept.text is not None:
            saved = result_from_tuple(json.loads(kept.text))
            assert isinstance(saved, GroupResult)
            return cls(id, saved.results, saved.parent)
        if not kept.members and not kept.grows:
            return None
        parent = None if kept.parent_id is None else AsyncResult[Any](kept.parent_id)
        found = cls(id, [AsyncResult(member) for member in kept.members], parent)
        found._grows = kept.grows
        return found

    def _own_id(self) -> str:
        if self.id is None:
            raise ValueError(
                "This GroupResult has no id to be found by. Give it one: GroupResult(django_tasks.uuid(), …)."
            )
        return self.id

    def as_tuple(self) -> tuple[Any, list[Any]]:
        """`((id, parent), members)`, for `result_from_tuple`. The parents are those that are known here."""
        parent = None if self.parent is None else self.parent.as_tuple()
        return (self.id, parent), [member.as_tuple() for member in self.results]

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, GroupResult)
            and (other.id, other.results) == (self.id, self.results)
            and other.parent == self.parent
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(map(str, self.results))}]>"


class TaskSetResult(GroupResult):
    """What Celery 2 called a `GroupResult`."""

    @property
    def taskset_id(self) -> str | None:
        return self.id

    @property
    def subtasks(self) -> list[Handle]:
        return self.results

    @property
    def total(self) -> int:
        return len(self)


def result_from_tuple(made: Any) -> Handle:
    """The handle of which `as_tuple` was made, also if it has been through JSON since. A handle stays itself."""
    if isinstance(made, AsyncResult | GroupResult):
        return made
    own, members = made
    id, before = own if isinstance(own, list | tuple) else (own, None)
    parent = None if before is None else result_from_tuple(before)
    if members is None:
        return AsyncResult(id, parent=parent)
    return GroupResult(id, [result_from_tuple(member) for member in members], parent)
