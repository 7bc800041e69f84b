"""How times and JSON stand in a column, and what to do about a row that does not hold what it should.

A value that cannot be read becomes an `Unreadable` instead of an exception: the exception would come from the middle of
a result, name no row, and take the sound rows behind it along.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, Row

from appliance.errors import RoomError, RoomKioskError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands where a value should."""

    reason: str


class DamagedRow(RoomKioskError):
    """A row holds what no version of ours has written. It stays as it is; whoever wants the others goes on without."""

    def __init__(self, table: str, key: str, reason: str) -> None:
        super().__init__(f"the row {key} of the table {table} is damaged: {reason}")
        self.table = table
        self.key = key
        self.reason = reason


class Moment(sa.types.TypeDecorator[datetime]):
    """A time in UTC as text of one width, `2026-03-01T09:14:03.512345Z`: sorts as time does, in any database."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else moment_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return an Unreadable for what is no such text."""
        try:
            return None if value is None else moment_of(value)
        except (ValueError, TypeError) as error:
            return Unreadable(str(error))


def moment_text(moment: datetime) -> str:
    """Return a time as it is stored."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment_of(text: str) -> datetime:
    """Return a time that was stored.

    Raises:
        ValueError, TypeError: it is none.
    """
    # Several times as quick as strptime, which was half of what a page of rooms cost.
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not UTC:
        raise ValueError(f"{text!r} is no time in UTC")
    return moment


class Json(sa.types.TypeDecorator[Any]):
    """JSON; an Unreadable for what is none, which SQLite takes as well."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        if read is None:
            return None

        def process(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError) as error:
                return Unreadable(f"no JSON: {error}")

        return process


def read_row(table: sa.Table, row: Row[Any], make: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what `make` makes of a row, by column.

    Raises:
        DamagedRow: a value cannot be read, is of another kind than its column, or `make` could make nothing of it.
    """
    values = row._asdict()
    try:
        for column, kinds in _kinds(table):
            value = values[column]
            if value is not None and not isinstance(value, kinds):
                problem = value.reason if isinstance(value, Unreadable) else f"{value!r} is no {kinds[0].__name__}"
                raise ValueError(f"{column}: {problem}")
        return make(values)
    except (ValueError, TypeError, LookupError, AttributeError, RoomError) as error:
        key = " ".join(str(values[column.name]) for column in table.primary_key)
        raise DamagedRow(table.name, key, str(error) or type(error).__name__) from error


@cache
def _kinds(table: sa.Table) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """Return of what type each column's values are; SQLite itself takes anything anywhere."""
    return tuple((column.name, _kinds_of(column.type)) for column in table.columns)


def _kinds_of(type_: "sa.types.TypeEngine[Any]") -> tuple[type, ...]:
    if isinstance(type_, Moment):
        return (datetime,)
    # What we keep as JSON is never a bare number or text.
    return (dict, list) if isinstance(type_, Json) else (type_.python_type,)
