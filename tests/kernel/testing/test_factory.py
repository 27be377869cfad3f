from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest

from kernel import Plugin, hookimpl
from kernel.contracts import Database
from kernel.errors import KernelError
from kernel.testing import FrozenClock, KernelFactory
from kernel.testing.pytest_plugin import MakeKernel

NOTES = {
    "20260101000000_notes.sql": """
        create table notes (id uuid primary key default gen_random_uuid(), text text not null);
    """
}


def texts(kernel: Any) -> list[Any]:
    return [row[0] for row in kernel.services[Database].query("select text from notes order by text")]


def write(kernel: Any, text: str) -> None:
    with kernel.services[Database].transaction() as transaction:
        transaction.execute("insert into notes (text) values (:text)", {"text": text})


def test_kernels_with_all_bundled_plugins_start_quickly_from_an_image(
    kernel_factory: KernelFactory, record_property: Any
) -> None:
    kernel_factory(migrations=NOTES).stop()
    seconds = []
    for _ in range(7):
        begun = perf_counter()
        kernel = kernel_factory(migrations=NOTES)
        seconds.append(perf_counter() - begun)
        kernel.stop()
    median = statistics.median(seconds) * 1000
    record_property("kernel_start_ms", round(median, 1))
    print(f"a kernel with all bundled plugins starts from its image in {median:.1f} ms")
    assert min(seconds) < 0.1


def counting(prepared: list[str]) -> type[Plugin]:
    class CountingPlugin(Plugin):
        name = "counting"
        requires = (Database,)

        class Settings(msgspec.Struct, frozen=True):
            seed: str = "x"

        @hookimpl
        def kernel_prepare(self) -> None:
            database = self.kernel.services[Database]
            if database.catalogue.table("seeded") is None:
                prepared.append(self.settings.seed)
                with database.schema_transaction() as transaction:
                    transaction.script("create table seeded (id uuid primary key)")
                    transaction.execute(
                        "insert into seeded values (:id)", {"id": str(self.kernel.ids.uuid())}
                    )

        @hookimpl
        def kernel_start(self) -> None:
            self.started_with = self.kernel.ids.token(), self.kernel.random.bytes(4)

    return CountingPlugin


def test_what_was_prepared_once_is_not_prepared_again_unless_it_matters(make_kernel: MakeKernel) -> None:
    prepared: list[str] = []
    plugin = counting(prepared)
    for options in (
        {},
        {},
        {"settings": {"rest": {}}},
        {"settings": {"counting": {"seed": "y"}}},
        {"migrations": NOTES},
        {"migrations": {**NOTES, "20260102000000_more.sql": "create table more (id bigint primary key);"}},
        {"migrations": NOTES},
        {"now": "2030-01-01T00:00:00Z"},
        {},
    ):
        kernel = make_kernel(extra=[plugin], **options)
        assert len(kernel.services[Database].query("select id from seeded")) == 1
    assert prepared == ["x", "y", "x", "x", "x"]
    make_kernel(plugins=["database", plugin])
    assert len(prepared) == 6


def test_kernels_from_one_image_do_not_see_one_anothers_rows(make_kernel: MakeKernel) -> None:
    one = make_kernel(migrations=NOTES)
    write(one, "of one")
    other = make_kernel(migrations=NOTES)
    write(other, "of the other")
    assert (texts(one), texts(other)) == (["of one"], ["of the other"])
    assert texts(make_kernel(migrations=NOTES)) == []


def test_a_kernel_from_an_image_is_like_the_first_one(make_kernel: MakeKernel) -> None:
    prepared: list[str] = []
    plugin = counting(prepared)
    seen = []
    for _ in range(3):
        kernel = make_kernel(plugins=["database", plugin])
        started = kernel.plugins["counting"].started_with
        drawn = kernel.ids.uuid(), kernel.ids.token(), kernel.random.bytes(8), kernel.random.uniform(0, 1)
        tables = set(kernel.services[Database].catalogue.tables)
        seen.append(
            (tables, started, drawn, kernel.clock.now(), [str(call) for call in kernel.recorder.calls])
        )
    assert prepared == ["x"]
    assert seen[0] == seen[1] == seen[2]


class ExtraPlugin(Plugin):
    name = "extra"

    class Settings(msgspec.Struct, frozen=True):
        word: str = "default"


def test_plugins_are_classes_names_or_paths(make_kernel: MakeKernel) -> None:
    assert list(make_kernel(plugins=[ExtraPlugin]).plugins) == ["extra"]
    assert list(make_kernel(plugins=["database", ExtraPlugin]).plugins) == ["database", "extra"]
    path = "tests_extra:Extra"
    with pytest.raises(KernelError, match="cannot be imported"):
        make_kernel(plugins=[path])
    every = set(make_kernel().plugins)
    assert set(make_kernel(extra=[ExtraPlugin]).plugins) == every | {"extra"}
    with pytest.raises(KernelError, match="did you mean 'database'"):
        make_kernel(plugins=["databse"])


def test_settings_are_tables_and_the_environment_is_left_out(
    make_kernel: MakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNEL_EXTRA__WORD", "from outside")
    assert make_kernel(plugins=[ExtraPlugin]).plugins["extra"].settings.word == "default"
    chosen = make_kernel(plugins=[ExtraPlugin], settings={"extra": {"word": "chosen"}})
    assert chosen.plugins["extra"].settings.word == "chosen"


def test_a_project_brings_its_file_and_migrations(make_kernel: MakeKernel, tmp_path: Path) -> None:
    (tmp_path / "kernel.toml").write_text(
        '[extra]\nword = "project"\n[database]\nurl = "sqlite:///data/on-disk.db"\n'
    )
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_notes.sql").write_text(NOTES["20260101000000_notes.sql"])
    kernel = make_kernel(project=tmp_path, extra=[ExtraPlugin])
    assert kernel.plugins["extra"].settings.word == "project"
    write(kernel, "in memory")
    assert texts(kernel) == ["in memory"]
    assert not list(tmp_path.glob("**/*.db"))
    over = make_kernel(project=tmp_path, extra=[ExtraPlugin], settings={"extra": {"word": "test"}})
    assert over.plugins["extra"].settings.word == "test"


def test_a_database_on_disk_is_left_alone_by_images(make_kernel: MakeKernel, tmp_path: Path) -> None:
    settings = {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}
    write(make_kernel(migrations=NOTES, settings=settings), "kept")
    assert texts(make_kernel(migrations=NOTES, settings=settings)) == ["kept"]


def test_a_kernel_that_fails_to_start_is_stopped_and_keeps_no_image(make_kernel: MakeKernel) -> None:
    bad = {"1_bad.sql": "create table good (id bigint primary key); create tabel bad (id bigint);"}
    for _ in range(2):
        with pytest.raises(KernelError, match="1_bad"):
            make_kernel(migrations=bad)


def test_roles_and_users_are_told_by_tokens(make_kernel: MakeKernel) -> None:
    class WhoPlugin(Plugin):
        name = "who"

        @hookimpl
        def kernel_routes(self) -> Iterable[Any]:
            from kernel import Route

            yield Route("GET", "/who", self.who)

        def who(self, request: Any) -> Mapping[str, Any]:
            identity = request.identity
            return {"role": identity.role, "subject": identity.subject} if identity else {}

    kernel = make_kernel(extra=[WhoPlugin])
    client = kernel.client
    assert client.as_role("service_role").get("/who").json() == {"role": "service_role", "subject": None}
    assert client.as_role("anon").get("/who").json()["role"] == "anon"
    ann = client.as_role("authenticated", "ann-1")
    assert ann.get("/who").json() == {"role": "authenticated", "subject": "ann-1"}
    assert ann.as_role("editor", "bob-2").get("/who").json() == {"role": "editor", "subject": "bob-2"}
    kernel.clock.advance(timedelta(hours=2))
    assert ann.get("/who").status == 401
    with pytest.raises(KernelError, match="as_role needs a plugin that provides Keys"):
        make_kernel(plugins=[ExtraPlugin]).client.as_role("anon")


def test_the_clock_stands_still_until_it_is_told(make_kernel: MakeKernel) -> None:
    clock = make_kernel(plugins=[], now="2030-05-06T07:08:09+02:00").clock
    assert clock.now() == clock.now() == datetime(2030, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.advance(90) == datetime(2030, 5, 6, 5, 9, 39, tzinfo=UTC)
    assert clock.monotonic() == 90
    clock.move_to("2020-01-01T00:00:00Z")
    assert (clock.now().year, clock.monotonic()) == (2020, 90)
    with pytest.raises(ValueError, match="has no time zone"):
        FrozenClock("2030-05-06T07:08:09")


def test_a_plugin_in_the_folder_of_a_project_is_found_by_its_path(
    kernel_factory: KernelFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "shop_of_the_project.py").write_text(
        "from kernel import Plugin\nclass Shop(Plugin):\n    name = 'shop'\n"
    )
    kernel = kernel_factory(plugins=["shop_of_the_project:Shop"], project=tmp_path)
    kernel.stop()
    assert list(kernel.plugins) == ["shop"]
