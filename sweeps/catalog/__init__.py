"""The catalog for people and scripts: what can be chosen, as JSON, tables and a page."""
