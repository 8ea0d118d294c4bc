"""The steps; results.schema.REVISIONS lists them in order."""
