"""The tables: how a database is opened, waited for, kept up to date; SQLAlchemy alone speaks to it."""
