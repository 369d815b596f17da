"""Runs migrations on the connection that `coordinator.schema` hands over."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        # Two migrators at once: the second waits, then finds nothing to do.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4207101)")
    else:
        # SQLite's driver would begin nothing before DDL, and a migration that is cut off would stay half done.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    context.run_migrations()
