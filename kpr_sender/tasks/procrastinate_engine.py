"""Procrastinate, the one file that knows it (https://procrastinate.readthedocs.io, 3.10).

Its tables have a schema of their own beside the journal's. Each receipts queue is a queue of its own there, so that a
machine takes no task of a municipality that its fleet file does not name, and no environment another's (promise G7).

Known holes of it, and what stands against them (tests/tasks/test_procrastinate_engine_stalled.py has a test for each):

- A task of a worker that was killed stays in *doing*; a task that looks for such may itself stay so, and then its lock
  keeps all others of its kind away (its issue 1408). Ours have no lock, and what looks for them is no task: every
  worker does it.
- A worker that starts removes the rows of silent ones, by which their tasks were found (1518). Tasks without a worker
  count as stalled, too.
- A stalled task that is put back collides with the one that has its queueing lock by now, and stays in *doing* (1543).
  Ours is ended as failed, never put back.
- A task whose end could not be stored stays in *doing* under a worker that lives. A worker ends those under its own
  number that it does not carry out.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.schema import SchemaManager

from kpr_sender.errors import ConfigInvalid, JournalUnwritable, KprError
from kpr_sender.journal.postgres_errors import translated
from kpr_sender.journal.postgres_migrate import migrating, require_version
from kpr_sender.journal.postgres_rows import Connection
from kpr_sender.journal.postgres_server import connect, parameters, place_of
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.tasks.port import Look, Tasks, WorkPlan
from kpr_sender.texts import Text

TASK: Final = "kpr_sender.look_after"
NAMESPACE: Final = "kpr_tasks"

_MIGRATE: Final = Text("Run kpr-send journal migrate, once, on a machine that has this version of kpr-sender[fleet].")
_LOST: Final = Text("See that the database runs and is reached, then start the worker again; nothing is lost.")
_VERSIONS: Final = """
    SELECT (SELECT count(*) FROM kpr_sender.migration) AS of_journal,
           (SELECT count(*) FROM kpr_tasks.applied) AS of_tasks
"""
_SCHEDULED: Final = """
    SELECT DISTINCT periodic_id AS channel FROM procrastinate_periodic_defers
    WHERE task_name = %(task)s AND starts_with(periodic_id, %(ours)s)
          AND defer_timestamp > extract(epoch FROM now()) - %(seconds)s
"""
"""The receipts queues of which a worker has put a task in by its schedule, not longer ago than that."""
_LONGEST_CHANNEL: Final = 40
"""Procrastinate's prefix and this are less than the 64 bytes that a channel of NOTIFY may have."""
_SIGNS: Final = 3
"""Signs of life, and looks for stalled tasks, in the time after which a worker counts as silent."""
_KEPT_HOURS: Final = 24
"""How long a failed task is there to be looked at."""
_POOL_SECONDS: Final = 10.0
_MINUTE: Final = 60

for _name in ("procrastinate", "psycopg"):  # their lines name arguments and addresses; what matters we say
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


@dataclass(frozen=True, slots=True)
class ProcrastinateEngine:
    """A ``TaskEngine``.

    Attributes:
        settings: Where the database is.
        environment: Whose tasks these are.
    """

    settings: JournalSettings
    environment: Environment

    def migrate(self) -> None:
        """Bring its tables up to date, one migration in one transaction after the other."""
        known = _migrations()
        with migrating(self.settings) as connection:
            applied = _applied(connection)
            self._refuse_newer(applied)
            steps: list[tuple[tuple[str, ...], str]] = [(tuple(known), SchemaManager.get_schema())]
            if applied:
                steps = [((name,), text) for name, text in known.items() if name not in applied]
            for names, text in steps:
                with connection.transaction():
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}".encode())
                    connection.execute(f"SET LOCAL search_path TO {NAMESPACE}".encode())
                    connection.execute(b"CREATE TABLE IF NOT EXISTS applied (name text PRIMARY KEY)")
                    connection.execute(text.encode())
                    for name in names:
                        connection.execute("INSERT INTO applied (name) VALUES (%s)", (name,))

    def require_tables(self) -> None:
        """Refuse a database whose tables, the journals' or those for tasks, are missing, older or newer."""
        place = place_of(self.settings)
        with closing(connect(self.settings)) as connection, translated(place):
            require_version(connection, place)
            applied = _applied(connection)
        if not applied:
            raise ConfigInvalid(
                Text("The database has no tables for the workers' tasks yet."), where=place, next_step=_MIGRATE
            )
        self._refuse_newer(applied)
        if _migrations().keys() - applied:
            raise JournalUnwritable(
                Text("The tables for the workers' tasks are from an earlier version."), where=place, next_step=_MIGRATE
            )

    @contextmanager
    def opened(self) -> Iterator[Tasks]:
        """Connect to the tasks."""
        connector = SyncPsycopgConnector(
            **self._pool("kpr-send"), configure=_use_namespace, min_size=1, max_size=1, timeout=_POOL_SECONDS
        )
        with self._translated(), App(connector=connector).open() as app:
            yield _OpenTasks(app, self.environment)

    def work(self, plan: WorkPlan, look: Look, *, on_ready: Callable[[Callable[[], None]], object]) -> None:
        """Carry tasks out until it is asked to end."""
        # psycopg needs a loop of this kind on Windows.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner, self._translated():
            runner.run(_Worker(self, plan, look).run(on_ready))

    def worker_app(self) -> App:
        """Return what a worker works with, not yet connected."""
        connector = PsycopgConnector(
            **self._pool(_worker_name(self.environment)),
            configure=_use_namespace_async,
            min_size=1,
            max_size=4,
            timeout=_POOL_SECONDS,
        )
        return App(connector=connector)

    def _pool(self, name: str) -> dict[str, Any]:
        given = {**parameters(self.settings), "application_name": name}
        return {"conninfo": self.settings.url or "", "kwargs": given}

    def _refuse_newer(self, applied: Collection[str]) -> None:
        if set(applied) - _migrations().keys():
            raise JournalUnwritable(
                Text("The tables for the workers' tasks are from a newer version of kpr-sender."),
                where=place_of(self.settings),
                next_step=Text("Nothing was changed. Install the newer version, and run the same command again."),
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ConnectorException:
            raise database_lost(place_of(self.settings)) from None


def database_lost(place: str) -> JournalUnwritable:
    """Return the error where the engine has lost its database."""
    return JournalUnwritable(
        Text("The database of the tasks was lost, or is not reached."), where=place, next_step=_LOST
    )


def lock_of(environment: Environment, queue: str) -> str:
    """Return what lets one task of a receipts queue wait at a time."""
    return f"{environment.value}/{queue}"


def channel_of(environment: Environment, queue: str) -> str:
    """Return what a receipts queue's tasks are called in the engine: itself, or what is short enough and its own."""
    name = lock_of(environment, queue)
    if len(name.encode()) <= _LONGEST_CHANNEL:
        return name
    return f"{environment.value}/{hashlib.sha256(queue.encode()).hexdigest()[:24]}"


def cron_of(every: float) -> str:
    """Return a schedule in cron's words; croniter's sixth field is seconds."""
    seconds = int(every)
    if seconds < _MINUTE:
        return f"* * * * * */{seconds}"
    return f"*/{seconds // _MINUTE} * * * *"


@dataclass(frozen=True, slots=True)
class _OpenTasks:
    """The ``Tasks``."""

    app: App
    environment: Environment

    def defer(self, queues: Iterable[str], wait: str) -> Mapping[str, frozenset[int]]:
        """Let a worker look after each; return the numbers of each one's tasks: that one, and those under way."""
        numbers = {queue: {self._number(queue, wait)} for queue in queues}
        by_lock = {lock_of(self.environment, queue): found for queue, found in numbers.items()}
        for job in self.app.job_manager.list_jobs(task=TASK, status="doing"):
            if job.id is not None:
                by_lock.get(job.queueing_lock or "", set()).add(job.id)
        return {queue: frozenset(found) for queue, found in numbers.items()}

    def _number(self, queue: str, wait: str) -> int:
        lock = lock_of(self.environment, queue)
        deferrer = self.app.configure_task(TASK, queue=channel_of(self.environment, queue), queueing_lock=lock)
        while True:
            with suppress(AlreadyEnqueued):
                return deferrer.defer(queue=queue, wait=wait)
            waiting = self.app.job_manager.list_jobs(task=TASK, queueing_lock=lock, status="todo")
            if waiting and waiting[0].id is not None:  # else it was begun between the two
                return waiting[0].id

    def left(self, numbers: Collection[int]) -> frozenset[int]:
        """Return which of them have not ended."""
        found = set[int | None]()
        for status in ("todo", "doing"):  # in the order in which a task has them: none is missed in between
            found |= {job.id for job in self.app.job_manager.list_jobs(task=TASK, status=status)}
        return frozenset(number for number in numbers if number in found)

    def has_workers(self) -> bool:
        """Tell whether workers for this environment are there: a session that has ended is gone at once."""
        row = self.app.connector.get_sync_connector().execute_query_one(
            "SELECT count(*) AS number FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %(name)s",
            name=_worker_name(self.environment),
        )
        return int(row["number"]) > 0

    def left_out(self, queues: Iterable[str], seconds: float) -> frozenset[str]:
        """Return those that workers let lie while they look after others, by their schedules."""
        rows = self.app.connector.get_sync_connector().execute_query_all(
            _SCHEDULED, task=TASK, ours=f"{self.environment.value}/", seconds=seconds
        )
        scheduled = {row["channel"] for row in rows}
        if not scheduled:
            return frozenset()  # they have only begun
        return frozenset(queue for queue in queues if channel_of(self.environment, queue) not in scheduled)


@dataclass(slots=True)
class _Worker:
    """One worker at work."""

    engine: ProcrastinateEngine
    plan: WorkPlan
    look: Look
    number: int | None = None
    under_way: set[int | None] = field(default_factory=set)
    asked: bool = False
    refused: KprError | None = None

    async def run(self, on_ready: Callable[[Callable[[], None]], object]) -> None:
        """Work until asked to end."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # what it would print of a task's end may hold anything
        app = self.engine.worker_app()
        with ThreadPoolExecutor(self.plan.jobs, thread_name_prefix="kpr-look") as threads:
            self._register(app, threads)
            async with app.open_async():
                working = asyncio.create_task(
                    app.run_worker_async(
                        queues=[channel_of(self.engine.environment, queue) for queue in self.plan.queues],
                        concurrency=self.plan.jobs,
                        install_signal_handlers=False,
                        delete_jobs="successful",
                        update_heartbeat_interval=self.plan.stalled_after / _SIGNS,
                        stalled_worker_timeout=self.plan.stalled_after,
                    )
                )

                def end() -> None:
                    self.asked = True
                    working.cancel()  # it then finishes what is under way

                sweeping = asyncio.create_task(self._sweep_on(app, end))
                on_ready(lambda: _call(loop, end))
                try:
                    await working
                except asyncio.CancelledError:
                    if not self.asked:
                        raise
                finally:
                    sweeping.cancel()
        if self.refused is not None:
            raise self.refused
        if not self.asked:  # it ends by itself where a sign of life or a tick could not be stored
            raise database_lost(place_of(self.engine.settings))

    def _register(self, app: App, threads: ThreadPoolExecutor) -> None:
        async def look_after(
            context: JobContext,
            *,
            queue: str,
            wait: str | None = None,
            timestamp: int | None = None,  # noqa: ARG001 - of the tick; the engine hands it over
        ) -> None:
            self.number = context.job.worker_id
            self.under_way.add(context.job.id)
            try:
                await asyncio.get_running_loop().run_in_executor(threads, self.look, queue, wait)
            finally:
                self.under_way.discard(context.job.id)

        task: Any = app.task(name=TASK, pass_context=True)(look_after)
        environment = self.engine.environment
        for queue in self.plan.queues:
            channel = channel_of(environment, queue)
            schedule = app.periodic(
                cron=cron_of(self.plan.every),
                periodic_id=channel,
                queue=channel,
                queueing_lock=lock_of(environment, queue),
                task_kwargs={"queue": queue},
            )
            schedule(task)

    async def _sweep_on(self, app: App, end: Callable[[], None]) -> None:
        suspects, known = frozenset[int](), None
        while self.refused is None:
            await asyncio.sleep(self.plan.stalled_after / _SIGNS)
            with suppress(ConnectorException):  # the sign of life says so
                suspects = await self.sweep(app, suspects)
                before, known = known, await app.connector.execute_query_one_async(_VERSIONS)
                if before != known:
                    await self._look_at_tables(end)

    async def _look_at_tables(self, end: Callable[[], None]) -> None:
        """End where the tables were changed by another version: one that can do nothing takes no task from others."""
        try:
            await asyncio.to_thread(self.engine.require_tables)
        except KprError as error:
            self.refused = error
            end()

    async def sweep(self, app: App, suspects: frozenset[int]) -> frozenset[int]:
        """End what is stalled as failed; nothing is tried again, the next tick looks.

        Args:
            app: Connected.
            suspects: Tasks under our number that were not carried out at the last look; they may just have been taken.

        Returns:
            Those of this look.
        """
        manager = app.job_manager
        silent = await manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=self.plan.stalled_after)
        doing = await manager.list_jobs_async(task=TASK, status="doing")
        ours = f"{self.engine.environment.value}/"
        lost = {
            job.id: job
            for job in doing
            if self.number is not None and job.worker_id == self.number and job.id not in self.under_way
        }
        for job in [*silent, *(job for number, job in lost.items() if number in suspects)]:
            if job.queue.startswith(ours):
                await _fail(app, job)
        await manager.delete_old_jobs(nb_hours=_KEPT_HOURS, include_failed=True)
        return frozenset(number for number in lost if number is not None)


async def _fail(app: App, job: Job) -> None:
    with suppress(ConnectorException):  # another worker was first, or it has ended after all
        await app.job_manager.finish_job(job=job, status=Status.FAILED, delete_job=False)


def _call(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(end)


def _worker_name(environment: Environment) -> str:
    return f"kpr-sender-worker-{environment.value}"


def _migrations() -> dict[str, str]:
    """Return its migrations by name, in the order in which they are applied."""
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def _applied(connection: Connection) -> frozenset[str]:
    row: Any = connection.execute("SELECT to_regclass(%s)", (f"{NAMESPACE}.applied",)).fetchone()
    if row[0] is None:
        return frozenset()
    return frozenset(row[0] for row in connection.execute("SELECT name FROM kpr_tasks.applied"))


def _use_namespace(connection: Any) -> None:
    connection.execute(f"SET search_path TO {NAMESPACE}")
    connection.commit()


async def _use_namespace_async(connection: Any) -> None:
    await connection.execute(f"SET search_path TO {NAMESPACE}")
    await connection.commit()
