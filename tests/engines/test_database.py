"""The operational database is made, brought up to date and refused as it should be."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from baserate.engines import migrations
from baserate.engines.database import HEAD, METADATA, Database
from baserate.terms.errors import EngineError

from .workers import open_database


@pytest.fixture
def url(database_url, tmp_path):
    return database_url or f"sqlite:///{tmp_path / 'deep' / 'folder' / 'baserate.db'}"


def test_the_migrations_make_the_tables_that_the_code_uses(url):
    database = Database(url)
    with database.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    database.close()
    assert found == []
    assert ScriptDirectory(migrations.__path__[0]).get_heads() == [HEAD]


def test_a_database_keeps_its_identity(url):
    one, other = Database(url), Database(url)
    assert one.workspace_id() == other.workspace_id()
    one.close()
    other.close()


def test_processes_that_make_the_database_at_once_make_one(processes, url, tmp_path):
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    pipes = []
    for _ in range(4):
        ours, theirs = processes.Pipe()
        processes.Process(target=open_database, args=(url, theirs)).start()
        pipes.append(ours)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    assert len({pipe.recv() for pipe in pipes}) == 1


def test_a_newer_database_is_not_touched(url):
    database = Database(url)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(EngineError) as caught:
        Database(url)
    assert caught.value.code == "newer_database"
    assert "upgrade baserate" in (caught.value.hint or "")


def test_a_transaction_that_fails_leaves_nothing(url):
    database = Database(url)
    with pytest.raises(ZeroDivisionError), database.write() as connection:  # noqa: PT012
        connection.execute(sa.text("DELETE FROM workspace"))
        raise ZeroDivisionError
    assert database.workspace_id()
    database.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "postgresql://user:password@host/name"),
        ("oracle+nothing://host/name", "sqlite:/// or postgresql://"),
        ("postgresql://me:secret@localhost:1/none", "the address and password"),
        ("sqlite:////proc/none/baserate.db", "path and its permissions"),
    ],
)
def test_a_database_that_cannot_be_had_is_said_without_its_password(url, says):
    with pytest.raises(EngineError) as caught:
        Database(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
