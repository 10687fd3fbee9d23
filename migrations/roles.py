"""This module makes the roles before the migrations run, and lets them run as the migrator, who then owns what they make.

Roles belong to the whole cluster: another database may have made them, or make them at this moment. Who may not make roles needs
them to be there, and ``backtape_migrator`` to be granted to its login (docs/sql.md).
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.roles import MIGRATOR_ROLE, ROLES

_MAKE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


class MissingRole(Exception):
    """A role is not there and could not be made, or is not granted to the login that migrates."""


async def become_migrator(connection: AsyncConnection) -> None:
    """Make the roles that are missing, and act as the migrator until the transaction's end. Raises MissingRole."""
    rows = await connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)"), {"names": list(ROLES)})
    missing = set(ROLES) - set(rows.scalars())
    login, may_make = (
        await connection.execute(
            text("SELECT current_user::text, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        )
    ).one()
    if missing and not may_make:
        raise MissingRole(f"roles {', '.join(sorted(missing))} are missing, and {login} may not make roles")
    for role in sorted(missing):
        await connection.execute(text(_MAKE.format(role=role)))
    if missing:
        # Who makes a role without being a superuser may grant it, also to itself.
        await connection.execute(text(f'GRANT {MIGRATOR_ROLE} TO "{login}"'))
    if not await connection.scalar(text(f"SELECT pg_has_role(current_user, '{MIGRATOR_ROLE}', 'MEMBER')")):
        raise MissingRole(f"{login} may not act as {MIGRATOR_ROLE}: GRANT {MIGRATOR_ROLE} TO {login}")
    await _let_create(connection, login)
    await connection.execute(text(f"SET LOCAL ROLE {MIGRATOR_ROLE}"))


async def _let_create(connection: AsyncConnection, login: str) -> None:
    """Let the migrator make schemas in this database. Only its owner, or a superuser, can say so, once."""
    may = text(f"SELECT has_database_privilege('{MIGRATOR_ROLE}', current_database(), 'CREATE')")
    if await connection.scalar(may):
        return
    name = await connection.scalar(text("SELECT quote_ident(current_database())"))
    await connection.execute(text(f"GRANT CREATE ON DATABASE {name} TO {MIGRATOR_ROLE}"))
    if not await connection.scalar(may):  # without the right to grant, PostgreSQL only warns
        raise MissingRole(f"{MIGRATOR_ROLE} may not make schemas in {name}, and {login} may not grant it")
