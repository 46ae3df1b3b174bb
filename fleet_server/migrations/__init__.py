"""Alembic migrations of the server's database; `upgrade` brings a database to the newest, in one transaction."""
