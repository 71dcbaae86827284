"""Steps that bring an operational database from one version to the next (Alembic)."""
