"""Where rooms, participants, tracks, events and deliveries are kept: SQLite, or PostgreSQL by URL.

May import ground and the values of `appliance.rooms`; the only package to know SQLAlchemy and Alembic.
"""
