"""GET /customers once more, by SQLAlchemy's own means: what load.py compares with.

The same statements, written and put together by hand; a page for each parent is not among what selectinload can do.
"""

from __future__ import annotations

from collections import defaultdict

from fastapi import APIRouter
from sqlalchemy import func, select
from sqlalchemy.orm import load_only, selectinload

from dloader.sqlalchemy import Page
from examples.service.models import Album, Artist, Customer, Employee, Genre, Invoice, InvoiceLine, Track
from examples.service.requests import Options, Session
from examples.service.rest import CustomerOut, EmployeeOut, First, InvoiceOut

router = APIRouter()
NEWEST = 3

PEOPLE = selectinload(Customer.agent).options(
    load_only(Employee.id, Employee.name),
    selectinload(Employee.manager).load_only(Employee.id, Employee.name),
)
LINES = selectinload(Invoice.lines).options(
    load_only(InvoiceLine.quantity),
    selectinload(InvoiceLine.track).options(
        load_only(Track.id, Track.name, Track.cents),
        selectinload(Track.genre).load_only(Genre.id, Genre.name),
        selectinload(Track.album).options(
            load_only(Album.title), selectinload(Album.artist).load_only(Artist.id, Artist.name)
        ),
    ),
)


@router.get("/customers")
async def customers(
    session: Session, options: Options, after: int = 0, first: First = 10
) -> list[CustomerOut]:
    page = select(Customer).where(Customer.id > after).order_by(Customer.id).limit(first)
    page = page.options(PEOPLE, load_only(Customer.id, Customer.name, Customer.country), *options)
    found = (await session.scalars(page)).all()
    ids = [customer.id for customer in found]
    of_these = Invoice.customer_id.in_(ids)

    order = (Invoice.day.desc(), Invoice.id.desc())
    rank = func.row_number().over(partition_by=Invoice.customer_id, order_by=order)
    ranked = select(Invoice.id, rank.label("rank")).where(of_these).subquery()
    newest = select(Invoice).join(ranked, ranked.c.id == Invoice.id).where(ranked.c.rank <= NEWEST + 1)
    newest = newest.order_by(*order).options(LINES, *options)
    invoices: dict[int, list[Invoice]] = defaultdict(list)
    for invoice in await session.scalars(newest):
        invoices[invoice.customer_id].append(invoice)

    counting = select(Invoice.customer_id, func.count()).where(of_these).group_by(Invoice.customer_id)
    counts = {row.customer_id: row[1] for row in await session.execute(counting.options(*options))}
    adding = select(Invoice.customer_id, func.sum(InvoiceLine.cents).label("cents"))
    adding = adding.join(Invoice.lines).where(of_these).group_by(Invoice.customer_id).options(*options)
    spent = {row.customer_id: row.cents for row in await session.execute(adding)}

    def answer(customer: Customer) -> CustomerOut:
        of_customer = invoices[customer.id]
        items = [InvoiceOut.model_validate(each, from_attributes=True) for each in of_customer[:NEWEST]]
        newest = Page[InvoiceOut](items=items, has_more=len(of_customer) > NEWEST)
        return CustomerOut(
            id=customer.id,
            name=customer.name,
            country=customer.country,
            agent=EmployeeOut.model_validate(customer.agent, from_attributes=True),
            spent=spent.get(customer.id),
            invoice_count=counts.get(customer.id, 0),
            newest=newest,
        )

    return [answer(customer) for customer in found]
