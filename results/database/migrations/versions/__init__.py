"""The steps; results.database.schema.REVISIONS lists them in order."""
