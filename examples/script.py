"""Which teams have which members: two statements, however many teams there are.

python examples/script.py
"""

import asyncio
import sqlite3

from dloader import DataLoader, build_list

SCHEMA = """
CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE person (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT);
INSERT INTO team VALUES (1, 'Red'), (2, 'Blue'), (3, 'Green');
INSERT INTO person VALUES (1, 1, 'Ann'), (2, 1, 'Bob'), (3, 2, 'Cid');
"""


class Members(DataLoader[int, list[sqlite3.Row]]):
    """The members of a team."""

    db: sqlite3.Connection
    max_batch_size = 500  # the most keys in one statement

    async def batch_load_fn(self, keys: list[int]) -> list[list[sqlite3.Row]]:
        """Load the members of all these teams."""
        marks = ", ".join("?" * len(keys))
        sql = f"SELECT * FROM person WHERE team_id IN ({marks}) ORDER BY id"  # noqa: S608 - only question marks
        return build_list(self.db.execute(sql, keys).fetchall(), keys, lambda row: row["team_id"])


async def line(team: sqlite3.Row, members: Members) -> str:
    """Say who is in a team. It knows nothing of the other teams, and yet shares their statement."""
    names = [person["name"] for person in await members.load(team["id"])]
    return f"{team['name']}: {', '.join(names) or 'nobody'}"


async def main() -> None:
    """Print a line per team."""
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.executescript(SCHEMA)
    db.set_trace_callback(print)
    async with Members() as members:
        members.db = db
        for text in await asyncio.gather(*(line(team, members) for team in db.execute("SELECT * FROM team"))):
            print(text)
    db.close()


if __name__ == "__main__":
    asyncio.run(main())
