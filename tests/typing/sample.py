"""What a user writes. A line ends with the codes of the errors that a type checker must report there."""

import datetime as dt
from collections.abc import Coroutine, Mapping
from typing import Any, assert_type

from django_tasks import (
    AbortableAsyncResult,
    AbortableTask,
    AsyncResult,
    GroupResult,
    ResultSet,
    Task,
    allow_join_result,
    app,
    apply_async_on_commit,
    current_task,
    delay_on_commit,
    get_task_logger,
    result_from_tuple,
    shared_task,
    task,
)
from django_tasks.exceptions import Retry
from django_tasks.signals import task_failure, task_success

logger = get_task_logger(__name__)


@task
def add(x: int, y: int) -> int:
    return x + y


assert_type(add(1, 2), int)
assert_type(add.delay(1, y=2), AsyncResult[int])
assert_type(add.delay(1, 2).get(timeout=5), int)
assert_type(add.delay_on_commit(1, 2), AsyncResult[int])
assert_type(delay_on_commit(add, 1, 2), AsyncResult[int])
assert_type(add.AsyncResult("id"), AsyncResult[int])
assert_type(add.name, str)
add("1", 2)  # error: arg-type
add.delay("1", 2)  # error: arg-type
add.delay(1)  # error: call-arg
add.delay(1, 2, z=3)  # error: call-arg
add.delay_on_commit("1", 2)  # error: arg-type
delay_on_commit(add, "1", 2)  # error: arg-type
add.dealy(1, 2)  # error: attr-defined


assert_type(add.apply_async((1, 2), countdown=5, queue="mail"), AsyncResult[int])
assert_type(add.apply_async([1, 2], {}, expires=60.0, headers={"by": "me"}), AsyncResult[int])
assert_type(add.apply_async_on_commit((1, 2), using="other", robust=True), AsyncResult[int])
assert_type(apply_async_on_commit(add, (1, 2), countdown=5), AsyncResult[int])
assert_type(add.bulk([(1, 2), (3, 4)], priority=3), list[AsyncResult[int]])
assert_type(add.bulk({"x": n, "y": n} for n in range(3)), list[AsyncResult[int]])
add.apply_async(4, 6)  # error: arg-type arg-type
add.apply_async((1, 2), countdown="soon")  # error: arg-type
add.apply_async((1, 2), countdwn=5)  # error: call-arg
add.bulk([1, 2])  # error: list-item list-item


@task()
def nothing() -> None: ...


assert_type(nothing.delay(), AsyncResult[None])
nothing.delay(1)  # error: call-arg


class DatabaseTask(Task):
    abstract = True
    alias = "replica"


@task(bind=True, base=DatabaseTask, queue="mail", colour="red")
def send(self: DatabaseTask, address: str, *, copy: bool = False) -> str:
    assert_type(self.alias, str)
    assert_type(self.request.id, str | None)
    assert_type(self.request.retries, int)
    logger.info("%s", self.request.retires)  # error: attr-defined
    logger.info("to %s", address)
    return address


assert_type(send("a@example.org"), str)
assert_type(send.delay("a@example.org", copy=True), AsyncResult[str])
send.delay("a@example.org", True)  # error: call-arg
send.delay(5)  # error: arg-type


@task(base=DatabaseTask)
def count(table: str) -> int:
    return len(table)


assert_type(count.delay("users"), AsyncResult[int])
count.delay(5)  # error: arg-type


@shared_task
def shared(x: int) -> int:
    return x


@app.task(name="of.app")
def of_app(x: int) -> int:
    return x


@app.shared_task(bind=True)
def bound(self: Task, x: int) -> int:
    return x


assert_type(shared.delay(1), AsyncResult[int])
assert_type(of_app.delay(1), AsyncResult[int])
assert_type(bound.delay(1), AsyncResult[int])
of_app.delay("1")  # error: arg-type


class Thumbnail(Task[[str], bytes]):
    queue = "images"

    def run(self, path: str) -> bytes:
        return path.encode()


class Anything(Task):
    def run(self, username: str, password: str) -> bool:
        return username == password


assert_type(Thumbnail().delay("cat.png"), AsyncResult[bytes])
assert_type(app.register_task(Thumbnail()), Thumbnail)
assert_type(app.send_task("blog.tasks.add", (1, 2), countdown=3), AsyncResult[Any])
Anything().delay("ada", password="secret")
Thumbnail().delay(5)  # error: arg-type


def bare(result: AsyncResult) -> None:
    assert_type(result.get(), Any)
    assert_type(result.children, list[AsyncResult[Any] | GroupResult])


def whatever(one: Task, result: AsyncResult[int]) -> None:
    one.delay(1, x=2)
    if current_task:
        current_task.get_logger().info("here")


# -- trying again


@task(bind=True, autoretry_for=(OSError,), retry_backoff=True, max_retries=5, throws=(KeyError,))
def fetch(self: Task, url: str) -> bytes:
    try:
        return url.encode()
    except OSError as error:
        raise self.retry(exc=error, countdown=60, max_retries=None, queue="slow") from error


@task(bind=True)
def fetch_later(self: Task, url: str) -> str | None:
    assert_type(self.retry((url,), throw=False), Retry)
    assert_type(self.retry(args=[url], kwargs={}, eta=dt.datetime.now(dt.UTC)), Retry)
    self.retry(countdwn=5)  # error: call-arg
    self.retry(exc="slow")  # error: arg-type
    return self.request.id


assert_type(fetch.delay("https://example.org"), AsyncResult[bytes])
assert_type(fetch_later.delay("https://example.org").get(), str | None)
fetch.delay()  # error: call-arg


# -- options of a call

assert_type(
    add.apply_async((1, 2), eta=dt.datetime.now(dt.UTC), expires=dt.datetime.now(dt.UTC)), AsyncResult[int]
)
assert_type(add.apply_async((1, 2), time_limit=20, soft_time_limit=10.5, priority=3), AsyncResult[int])
assert_type(add.apply_async((1, 2), task_id="mine", shadow="shown", ignore_result=True), AsyncResult[int])
add.apply_async((1, 2), priority="high")  # error: arg-type
add.apply_async((1, 2), expires=dt.timedelta(1))  # error: arg-type
add.apply_async((1, 2), headers=[("by", "me")])  # error: arg-type
assert_type(add.apply((1, 2), throw=True).get(), int)
app.send_task(add)  # error: arg-type


# -- classes with handlers, and what they keep


class Told(Task[[int], str]):
    def run(self, number: int) -> str:
        assert_type(self.request.kwargs, Mapping[str, Any])
        self.update_state(state="PROGRESS", meta={"number": number})
        self.update_state(meta=5, stat="PROGRESS")  # error: call-arg
        return str(number)

    def on_success(self, retval: str, task_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        logger.info("%s", retval.upper())


told = Told()
assert_type(told(5), str)
assert_type(told.apply_async((5,)).get(timeout=1), str)
assert_type(told.AsyncResult("id"), AsyncResult[str])
told("5")  # error: arg-type


@task(bind=True, base=AbortableTask)
def crawl(self: AbortableTask, start: str) -> int:
    assert_type(self.is_aborted(), bool)
    return len(start)


assert_type(crawl.delay("https://example.org"), AsyncResult[int])
assert_type(AbortableAsyncResult[int]("id").abort(), bool)


# -- coroutines


@task
async def resize(path: str, width: int = 80) -> bytes:
    return path.encode()[:width]


@task(bind=True, soft_time_limit=5)
async def resize_all(self: Task, paths: list[str]) -> int:
    first = await resize.adelay(paths[0], width=10)
    assert_type(first, AsyncResult[bytes])
    assert_type(await first.aget(timeout=5), bytes)
    await resize.adelay(5)  # error: arg-type
    assert_type(await resize.aapply_async((paths[0],), countdown=5), AsyncResult[bytes])
    assert_type(await resize(paths[0]), bytes)
    return len(paths)


coroutine = assert_type(resize("cat.png"), Coroutine[Any, Any, bytes])
assert_type(resize.delay("cat.png"), AsyncResult[bytes])
assert_type(resize_all.delay(["cat.png"]), AsyncResult[int])
resize.delay("cat.png", "wide")  # error: arg-type


# -- handles


def ask(result: AsyncResult[int], bare: AsyncResult) -> AsyncResult:
    assert_type(result.get(propagate=False, interval=0.5, on_message=print), int)
    assert_type(result.state, str)
    assert_type(result.parent, AsyncResult[Any] | GroupResult | None)
    assert_type(result.revoke(terminate=True), bool)
    assert_type(app.control.revoke([result.id]), int)
    with allow_join_result():
        assert_type(bare.get(), Any)
    result.get(timeout="soon")  # error: arg-type
    return result


def ask_many(group: GroupResult, several: ResultSet, one: AsyncResult[int]) -> None:
    assert_type(group.get(timeout=5, propagate=False), list[Any])
    assert_type(group.join(interval=0.5), list[Any])
    assert_type(group.completed_count(), int)
    assert_type(group[0], AsyncResult[Any] | GroupResult)
    assert_type(GroupResult.restore("id"), GroupResult | None)
    assert_type(app.GroupResult("id", [one]).parent, AsyncResult[Any] | GroupResult | None)
    assert_type(AsyncResult[int]("id", parent=group).get(follow_parents=False), int)
    assert_type(result_from_tuple(one.as_tuple()), AsyncResult[Any] | GroupResult)
    several.add(one)
    several.get(timeout="soon")  # error: arg-type


@task_success.connect
def cheer(sender: object, result: object, **about: object) -> int:
    return 1


@task_failure.connect(sender=add, weak=False)
def mourn(sender: object, **about: object) -> str:
    return "alas"


assert_type(cheer(None, None), int)
assert_type(mourn(None), str)
assert_type(task_success.connect(mourn, sender="shop.tasks.add")(None), str)
cheer()  # error: call-arg
task_success.connect("cheer")  # error: call-overload
