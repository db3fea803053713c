"""What every part's tests share: the real broker, and the loud line for whatever is not to be had here."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kpr_sender.model import Language
from kpr_sender.render.language import of_locale
from tests.helpers.debian_packages import RABBITMQ_4_0, RABBITMQ_4_3, NotToBeHad, unpacked
from tests.helpers.import_ahead import import_ahead
from tests.helpers.rabbitmq import RabbitMq, installed, unpacked_version
from tests.helpers.shared import NO_SHARED
from tools.texts.catalogues import compile_stale

# A busy machine is no fault of the code: hypothesis shall find wrong answers, not slow ones.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

# What tests write is thrown away, and what a killed process wrote is not lost with it: in memory an fsync is free,
# where a disk takes milliseconds for each of many thousands.
_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest and tempfile make folders of their own in it
_ROOM = 6 << 30  # bytes: a container's has often 64 MB
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)

pytest_plugins = (
    "tests.helpers.keys_once",
    "tests.helpers.schema_once",
    "tests.helpers.proton_once",
    "tests.helpers.figures",
    "tests.helpers.slow",
    "tests.helpers.brokers",
    "tests.helpers.browser",
    "tests.helpers.engine_fixtures",
    "tests.helpers.register_scene",
    "tests.helpers.desk",
    "tests.helpers.softhsm",
    "tests.helpers.postgres",
    "tests.helpers.postfix_dovecot",
    "tests.helpers.postgres_newest",
    "tests.helpers.watcher",
    "tests.helpers.declared_events",
    "tests.helpers.machines_own",
    "kpr_sender.testing.plugin",
)

_NO_RABBITMQ = "no RabbitMQ here: apt-get install rabbitmq-server"
_NO_RABBITMQ_4 = "no RabbitMQ 4 here"
_NO_RABBITMQ_43 = "no RabbitMQ 4.3 here"
_NO_SOFTHSM = "no SoftHSM here"
_NO_XMLSEC1 = "no xmlsec1 here"
_NO_PROMTOOL = "no promtool here"
_NO_CHROMIUM = "no Chromium here"
_NO_POSTGRES = "no PostgreSQL 15 here"
_NO_POSTGRES_13 = "no PostgreSQL 13 here"
_NO_POSTGRES_18 = "no PostgreSQL 18 here"
_NO_PGBOUNCER = "no PgBouncer here"
_NO_SMALL_DISK = "no small disk here"
_NO_SPIN = "no spin here"
_NO_MAIL_SERVERS = "no Postfix and Dovecot here"
_NO_SANTUARIO = "no Apache Santuario here"
_NO_MACHINES = "no network namespaces here"
# Each node is one group: under ``pytest -n N --dist loadgroup`` its tests stay in one process and share it.
_NODES = {"rabbitmq_node": "rabbitmq", "rabbitmq4_node": "rabbitmq4", "rabbitmq43_node": "rabbitmq43"}


@pytest.fixture(scope="session", autouse=True)
def state_home() -> Iterator[Path]:
    """The folder in which journals have their second witness: none of a test's is written into a person's own."""
    folder, before = tempfile.mkdtemp(prefix="kpr-state-"), os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = folder  # of the processes, too, that tests start
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A RabbitMQ node of the run's own, with a municipality's users, exchange and queues."""
    sbin = installed()
    if sbin is None:
        pytest.skip(_NO_RABBITMQ)
    yield from _running(RabbitMq(sbin, tmp_path_factory.mktemp("rabbitmq")))


@pytest.fixture
def rabbitmq(rabbitmq_node: RabbitMq) -> RabbitMq:
    """The same node, running and with every queue empty."""
    return rabbitmq_node.fresh()


@pytest.fixture(scope="session")
def rabbitmq4_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A RabbitMQ 4 node, from another Debian's packages in a folder that is made once on each machine."""
    yield from _of_debian(RABBITMQ_4_0, _NO_RABBITMQ_4, tmp_path_factory.mktemp("rabbitmq4"))


@pytest.fixture(name="rabbitmq4")
def fresh_rabbitmq4(rabbitmq4_node: RabbitMq) -> RabbitMq:
    """The same node, running and with every queue empty."""
    return rabbitmq4_node.fresh()


@pytest.fixture(scope="session")
def rabbitmq43_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A RabbitMQ 4.3 node: it takes addresses in version 2 only, and counts what was acquired beside deliveries."""
    yield from _of_debian(RABBITMQ_4_3, _NO_RABBITMQ_43, tmp_path_factory.mktemp("rabbitmq43"))


@pytest.fixture(name="rabbitmq43")
def fresh_rabbitmq43(rabbitmq43_node: RabbitMq) -> RabbitMq:
    """The same node, running and with every queue empty."""
    return rabbitmq43_node.fresh()


def _of_debian(suite: str, otherwise: str, folder: Path) -> Iterator[RabbitMq]:
    try:
        debian = unpacked(suite)
    except NotToBeHad as error:
        pytest.skip(f"{otherwise}: {error}")
    yield from _running(RabbitMq.of(debian, folder))


def _running(node: RabbitMq) -> Iterator[RabbitMq]:
    try:
        yield node.start()
    finally:
        node.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run take the long proofs in: ``pytest --nightly -m nightly`` runs them alone."""
    parser.addoption("--nightly", action="store_true", help="run what is marked nightly, too")


def pytest_configure() -> None:
    """Have the catalogues compiled; on a Norwegian machine, too, the tests read English unless they say so."""
    compile_stale()
    if of_locale(os.environ) is not Language.EN:
        os.environ["LC_ALL"] = "C.UTF-8"


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Leave what lives as long as the run out of garbage collection.

    Thousands of tests are a million objects: going through them again and again took as long as many of the tests.
    """
    gc.disable()
    try:
        import_ahead(session.config)
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses a real broker, and keep together what uses the same one.

    What is marked nightly takes hours where a run of the suite has minutes: it runs when it is asked for.
    """
    if not config.getoption("--nightly") and (long := [item for item in items if item.get_closest_marker("nightly")]):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        for node in set(_NODES) & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.rabbitmq)
            item.add_marker(pytest.mark.xdist_group(_NODES[node]))
        _keep_together(config, item)


def _keep_together(config: pytest.Config, item: pytest.Item) -> None:
    """Write an item's group behind its id, where the scheduler of pytest-xdist reads it.

    pytest-xdist 3.8 writes it where pytest 9.2 no longer keeps the id: each process then started every broker.
    """
    groups = {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
    if groups and hasattr(item, "_id") and getattr(config.option, "loadgroup", False):
        item._id = type(item._id).parse(f"{item.nodeid}@{'_'.join(sorted(groups))}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly, in one line each, what is missing here and how much went untested for want of it."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    lacking = (
        _NO_RABBITMQ,
        f"{_NO_RABBITMQ_4}:",
        f"{_NO_RABBITMQ_43}:",
        _NO_SOFTHSM,
        _NO_XMLSEC1,
        _NO_PROMTOOL,
        _NO_CHROMIUM,
        _NO_POSTGRES,
        f"{_NO_POSTGRES_13}:",
        f"{_NO_POSTGRES_18}:",
        _NO_PGBOUNCER,
        f"{_NO_SMALL_DISK}:",
        f"{_NO_SANTUARIO}:",
        _NO_SPIN,
        f"{_NO_MACHINES}:",
        _NO_MAIL_SERVERS,
        NO_SHARED,
    )
    for missing in lacking:
        if reasons := [reason for reason in skipped if missing in reason]:
            why = reasons[0].partition(missing)[2].rstrip("')\"") if missing.endswith(":") else ""
            terminalreporter.write_line(f"NOT TESTED: {len(reasons)} tests, {missing}{why}", red=True, bold=True)
    for suite, known in ((RABBITMQ_4_0, "4.0"), (RABBITMQ_4_3, "4.3")):
        there = unpacked_version(suite)
        if there and not there.startswith(f"{known}."):
            terminalreporter.write_line(f"RabbitMQ {there} in place of {known}: Debian has moved on", bold=True)
