"""``python -m tests.helpers.next_version ARGUMENTS``: ``kpr-send`` as it may be next, with one migration more.

The migration is made up, and one that today's program could not write with: it would leave a column empty that must not
be. Processes that it begins import this module, too, and are of the same version.
"""

from __future__ import annotations

from typing import Final

from kpr_sender.journal import postgres_schema
from kpr_sender.journal.schema_beginnings import Migration

NEXT: Final = postgres_schema.VERSION + 1
_MADE_UP: Final = Migration(
    NEXT,
    "a column that only the next version fills",
    (
        "ALTER TABLE event ADD COLUMN made_up TEXT NOT NULL DEFAULT 'before'",
        "ALTER TABLE event ALTER COLUMN made_up DROP DEFAULT",
        # What the next version's statements would say.
        """
        CREATE FUNCTION made_up() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF current_setting('application_name') = 'kpr-send-next' THEN NEW.made_up := 'after'; END IF;
          RETURN NEW;
        END $$
        """,
        "CREATE TRIGGER made_up BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION made_up()",
    ),
)


def _become_next() -> None:
    from kpr_sender.journal import postgres_server  # noqa: PLC0415 - beside what is changed of it

    postgres_schema.MIGRATIONS = (*postgres_schema.MIGRATIONS, _MADE_UP)  # type: ignore[misc, assignment]
    postgres_schema.VERSION = NEXT  # type: ignore[misc]
    postgres_server._PARAMETERS["application_name"] = "kpr-send-next"


if __name__ in {"__main__", "__mp_main__"}:
    _become_next()

if __name__ == "__main__":
    from kpr_sender.cli.main import main

    main()
