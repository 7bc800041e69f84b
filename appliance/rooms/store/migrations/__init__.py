"""Alembic's environment and the steps from one form of the database to the next, shipped with the package.

`store.py` runs them at every start; a new step is a new file in `versions`. May import SQLAlchemy and Alembic only.
"""
