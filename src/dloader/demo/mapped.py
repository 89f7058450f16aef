"""The demo's tables as SQLAlchemy maps them: what `eager.py` loads."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """All of them."""


class Neighbour(Base):
    __tablename__ = "neighbour"
    country_iso: Mapped[str] = mapped_column(ForeignKey("country.iso"), primary_key=True)
    neighbour_iso: Mapped[str] = mapped_column(ForeignKey("country.iso"), primary_key=True)


class City(Base):
    __tablename__ = "city"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    population: Mapped[int]
    country_iso: Mapped[str] = mapped_column(ForeignKey("country.iso"))
    state_code: Mapped[str | None] = mapped_column(ForeignKey("state.code"))


class Currency(Base):
    __tablename__ = "currency"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class County(Base):
    __tablename__ = "county"
    fips: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    state_code: Mapped[str] = mapped_column(ForeignKey("state.code"))


class State(Base):
    __tablename__ = "state"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    country_iso: Mapped[str] = mapped_column(ForeignKey("country.iso"))
    cities: Mapped[list[City]] = relationship(order_by=(City.population.desc(), City.id))
    counties: Mapped[list[County]] = relationship(order_by=(County.name, County.fips))


class Country(Base):
    __tablename__ = "country"
    iso: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    continent_code: Mapped[str] = mapped_column(ForeignKey("continent.code"))
    population: Mapped[int]
    currency_code: Mapped[str | None] = mapped_column(ForeignKey("currency.code"))
    capital_id: Mapped[int | None] = mapped_column(ForeignKey("city.id"))
    capital: Mapped[City | None] = relationship(foreign_keys=[capital_id])
    currency: Mapped[Currency | None] = relationship()
    cities: Mapped[list[City]] = relationship(
        foreign_keys=[City.country_iso], order_by=(City.population.desc(), City.id)
    )
    neighbours: Mapped[list["Country"]] = relationship(
        secondary="neighbour",
        primaryjoin=iso == Neighbour.country_iso,
        secondaryjoin=iso == Neighbour.neighbour_iso,
        order_by=iso,
    )
    states: Mapped[list[State]] = relationship(order_by=State.name)


class Continent(Base):
    __tablename__ = "continent"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    population: Mapped[int]
    countries: Mapped[list[Country]] = relationship(order_by=(Country.population.desc(), Country.iso))
