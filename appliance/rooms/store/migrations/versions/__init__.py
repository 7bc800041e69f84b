"""One file per step, numbered; a step that was released is never changed.

May import SQLAlchemy and Alembic only: a step must not follow later changes of the tables it once made.
"""
