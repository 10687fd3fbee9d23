"""This module lists the roles in the database and what each may do. They have no logins: people and processes get one of them.

role                  may
backtape_migrator     own and change all schemas of ours
backtape_projector    read and write the rows of the generations; nothing else
backtape_web          read the views; read and write what api keys need (granted where those tables are made)
backtape_reader       read the views, and call their functions
"""

from projections.functions import WAIT_FOR

VIEW_SCHEMA = "backtape"
MIGRATOR_ROLE = "backtape_migrator"
PROJECTOR_ROLE = "backtape_projector"
WEB_ROLE = "backtape_web"
READER_ROLE = "backtape_reader"
ROLES = (MIGRATOR_ROLE, PROJECTOR_ROLE, WEB_ROLE, READER_ROLE)


def grants_sql(schema: str) -> list[str]:
    """Return the statements that let the projector write the tables of one generation's schema."""
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {PROJECTOR_ROLE}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {PROJECTOR_ROLE}",
    ]


def view_grants_sql() -> list[str]:
    """Return the statements that let people and the web read the views, whatever generation is behind them."""
    readers = f"{READER_ROLE}, {WEB_ROLE}"
    return [
        f"GRANT USAGE ON SCHEMA {VIEW_SCHEMA} TO {readers}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {VIEW_SCHEMA} TO {readers}",
        f"GRANT EXECUTE ON FUNCTION {WAIT_FOR} TO {readers}",
    ]
