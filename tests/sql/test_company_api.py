"""examples/company_api.py: equal to its version by selectinload, in nine statements for a page of any length."""

from __future__ import annotations

import ast
import asyncio
import sys
from pathlib import Path

import pytest
from amounts import amount
from databases import Database
from serving import serving
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from examples import company_api, company_api_selectinload, company_models  # noqa: E402

TENANTS = (1, 2, 3)
pytestmark = pytest.mark.in_full


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """The example's own rows."""
    database.run(company_models.fill)
    return database


def using(engine: AsyncEngine) -> None:
    for module in (company_api, company_api_selectinload):
        module.open_session = async_sessionmaker(engine)


@pytest.mark.parametrize("first", amount([1, 5, 40], [7, 40]))
def test_the_answers_are_those_of_selectinload(filled, first):
    """For all pages of all tenants."""

    async def law(engine):
        using(engine)
        async with (
            serving(company_api.app) as client,
            serving(company_api_selectinload.app) as other,
        ):
            for tenant in TENANTS:
                after, seen = 0, 0
                while True:
                    request = {
                        "params": {"after": after, "first": first},
                        "headers": {"tenant": str(tenant)},
                    }
                    answer = await client.get("/companies", **request)
                    expected = await other.get("/companies", **request)
                    assert answer.status_code == expected.status_code == 200
                    assert answer.json() == expected.json()
                    if not answer.json():
                        break
                    seen += len(answer.json())
                    after = answer.json()[-1]["id"]
                assert seen > 8

    filled.run(law)


def test_the_statements_are_as_many_as_the_relationships_and_levels(filled):
    """Nine with the roots, or eight: leads and managers are one look-up, which may meet."""

    async def law(engine):
        using(engine)
        counts = set()
        async with serving(company_api.app) as client:
            for first in (5, 10, 40):
                filled.statements.clear()
                await client.get("/companies", params={"first": first}, headers={"tenant": "1"})
                counts.add(len(filled.selects))
        assert counts <= {8, 9}

    filled.run(law)


def test_nothing_crosses_between_requests_of_tenants_at_once(filled):
    """A pool of five connections, twenty requests at a time; a quarter of them on each driver."""

    async def law(engine):
        using(engine)
        gate = asyncio.Semaphore(20)
        async with serving(company_api.app) as client:

            async def ask(tenant: int, after: int) -> str:
                async with gate:
                    request = {"params": {"after": after, "first": 1}, "headers": {"tenant": str(tenant)}}
                    answer = await client.get("/companies", **request)
                assert answer.status_code == 200, answer.text
                return answer.text

            pages = [(tenant, after) for tenant in TENANTS for after in (0, 10, 20)]
            expected = {page: await ask(*page) for page in pages}
            assert len(set(expected.values())) == len(pages)
            asked = [pages[n % len(pages)] for n in range(amount(250, 50))]
            answers = await asyncio.gather(*(ask(*page) for page in asked))
            assert answers == [expected[page] for page in asked]

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=5, max_overflow=0)


def test_openapi_says_that_every_field_is_there():
    """No key column, nothing optional."""
    schema = company_api.app.openapi()
    models = schema["components"]["schemas"]
    for name in ("CompanyOut", "OfficeOut", "MemberOut", "ProjectOut", "PersonOut", "TagOut", "TaskOut"):
        assert models[name]["required"] == list(models[name]["properties"])
    assert list(models["ProjectOut"]["properties"]) == ["name", "lead", "task_count", "latest_tasks"]
    names = [each["name"] for each in schema["paths"]["/companies"]["get"]["parameters"]]
    assert sorted(names) == ["after", "first", "tenant"]


def lines(path: Path) -> int:
    """Lines of code without imports, comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[int] = set()
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not isinstance(statement, ast.Import | ast.ImportFrom):
            begins = min(
                [statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))]
            )
            found.update(range(begins, (statement.end_lineno or 0) + 1))
    text = path.read_text(encoding="utf-8").splitlines()
    return sum(bool(text[number - 1].strip()) for number in found)


def test_it_is_short():
    """A response model and a route, nothing else."""
    mine, others = (
        lines(ROOT / f"examples/{name}.py") for name in ("company_api", "company_api_selectinload")
    )
    assert mine <= 45
    assert others >= 1.5 * mine
