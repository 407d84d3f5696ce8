"""The schema of a database: bringing it to this version, and telling how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aurora_ingest.db.engine import shown, writing
from aurora_ingest.errors import MigrationError

VERSION_TABLE: Final = "aurora_alembic_version"
_HORIZON_TABLE: Final = "gorp_migrations"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class SchemaStatus:
    """How a schema stands.

    Attributes:
        current: revision of the database, None when it has no schema of ours.
        head: revision that this version needs.
    """

    current: str | None
    head: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to migrate."""
        return self.current == self.head


def migrate(engine: sa.Engine) -> None:
    """Brings the schema to this version, in one transaction; does nothing when it is there.

    Raises:
        MigrationError: the database was migrated by Horizon, or by a newer version.
    """
    before = status(engine)
    _refuse_newer(engine, before)
    with writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def status(engine: sa.Engine) -> SchemaStatus:
    """Returns how the schema stands.

    Raises:
        MigrationError: the database was migrated by Horizon.
    """
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        if sa.inspect(connection).has_table(_HORIZON_TABLE):
            raise MigrationError(
                f"database {shown(engine)} has the table {_HORIZON_TABLE}: its schema is Horizon's; "
                "give aurora-ingest a database of its own"
            )
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return SchemaStatus(context.get_current_revision(), str(head))


def require(engine: sa.Engine) -> None:
    """Refuses a database whose schema is not the one that this version needs.

    Raises:
        MigrationError: no schema, an older or a newer one, or Horizon's.
    """
    found = status(engine)
    if found.is_current:
        return
    _refuse_newer(engine, found)
    what = "has no schema" if found.current is None else f"has schema {found.current}, expected {found.head}"
    raise MigrationError(f"database {shown(engine)} {what}: run `aurora-ingest db migrate`")


def _refuse_newer(engine: sa.Engine, found: SchemaStatus) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found.current is not None and found.current not in known:
        raise MigrationError(
            f"database {shown(engine)} has schema {found.current}, which this version does not know "
            f"(newest is {found.head}): install a newer aurora-ingest"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE
    return config
