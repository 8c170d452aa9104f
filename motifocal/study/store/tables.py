"""Define the tables of a study, and what the database itself refuses.

    study       one row: protocol, its hash, what it was made from, the salt; never changed
    blob, media, pair, comparison, item     what is shown; written once
    slot        a judgement that is wanted: an item, and which model is on the left
    annotator, person       who judges, and the hash of the number they came with
    lease       a slot that an annotator holds, or has held
    vote        an answer; only ever inserted

A slot holds one vote, an annotator votes once for an item, and a vote is for the slot, item and
annotator of its lease: so there cannot be one vote too many.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    literal_column,
)

VERSION = 1  # of these tables
OPEN, LEASED, VOTED = "open", "leased", "voted"

TABLES = MetaData()

STUDY = Table(
    "study", TABLES,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("protocol_sha256", String(64), nullable=False),
    Column("material", Text, nullable=False),
    Column("salt", String(64), nullable=False),
)  # fmt: skip

BLOB = Table(
    "blob", TABLES,
    Column("id", Integer, primary_key=True),
    Column("content_type", String(50), nullable=False),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

# Several tokens may show one blob: a model's video in two comparisons has two.
MEDIA = Table(
    "media", TABLES,
    Column("token", String(64), primary_key=True),
    Column("blob_id", ForeignKey("blob.id"), nullable=False),
)  # fmt: skip

PAIR = Table(
    "pair", TABLES,
    Column("id", Integer, primary_key=True),
    Column("stem", Text, nullable=False, unique=True),
    Column("image_id", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("scenario", Text, nullable=False),
)  # fmt: skip

COMPARISON = Table(
    "comparison", TABLES,
    Column("id", Integer, primary_key=True),
    Column("model_a", Text, nullable=False),
    Column("model_b", Text, nullable=False),
    UniqueConstraint("model_a", "model_b"),
)  # fmt: skip

# `picture` is the same token for all items of one picture. `rank` is the item's place in the
# random order of the study; gold items have none. A repeat is a repeat `of` an item.
ITEM = Table(
    "item", TABLES,
    Column("id", Integer, primary_key=True),
    Column("comparison_id", ForeignKey("comparison.id")),
    Column("pair_id", ForeignKey("pair.id"), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("model_a", Text, nullable=False),
    Column("model_b", Text, nullable=False),
    Column("picture", ForeignKey("media.token"), nullable=False),
    Column("video_a", ForeignKey("media.token"), nullable=False),
    Column("video_b", ForeignKey("media.token"), nullable=False),
    Column("gold", String(20)),
    Column("repeat_of", ForeignKey("item.id"), unique=True),
    Column("rank", Integer, unique=True),
    CheckConstraint("(gold IS NULL) = (rank IS NOT NULL)"),
    CheckConstraint("(gold IS NOT NULL AND gold = 'repeat') = (repeat_of IS NOT NULL)"),
    Index("item_gold", "gold"),
)  # fmt: skip

ANNOTATOR = Table(
    "annotator", TABLES,
    Column("id", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("source", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("joined_at", Double, nullable=False),
    Column("consented_at", Double),
    Column("finished_at", Double),
)  # fmt: skip

# A recruitment service's id of an annotator, hashed; raw only if the protocol keeps it.
PERSON = Table(
    "person", TABLES,
    Column("annotator_id", ForeignKey("annotator.id"), primary_key=True),
    Column("source", String(20), nullable=False),
    Column("external_hash", String(64), nullable=False),
    Column("external", Text),
    UniqueConstraint("source", "external_hash"),
)  # fmt: skip

# A gold slot is made when it is leased, `only_for` one annotator, whose id is its number. A slot
# that `replaces` another asks again for the vote of an annotator who failed the gold items.
SLOT = Table(
    "slot", TABLES,
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("shown_left", String(10), CheckConstraint("shown_left IN ('model_a', 'model_b')"),
           nullable=False),
    Column("state", String(10), CheckConstraint("state IN ('open', 'leased', 'voted')"),
           nullable=False),
    Column("rank", Integer),
    Column("only_for", ForeignKey("annotator.id")),
    Column("replaces", ForeignKey("slot.id"), unique=True),
    CheckConstraint("(rank IS NULL) = (only_for IS NOT NULL)"),
    UniqueConstraint("item_id", "number"),
    UniqueConstraint("id", "item_id"),
)  # fmt: skip
# As it stands, not as a parameter: else no database can tell that the index below is meant.
IS_OPEN = SLOT.c.state == literal_column("'open'")
_WANTED = IS_OPEN & SLOT.c.only_for.is_(None)
Index("slot_wanted", SLOT.c.rank, SLOT.c.number,
      sqlite_where=_WANTED, postgresql_where=_WANTED)

LEASE = Table(
    "lease", TABLES,
    Column("id", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("slot_id", Integer, nullable=False),
    Column("item_id", Integer, nullable=False),
    Column("annotator_id", ForeignKey("annotator.id"), nullable=False),
    Column("leased_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("shown_at", Double),
    Column("ended_at", Double),
    ForeignKeyConstraint(["slot_id", "item_id"], ["slot.id", "slot.item_id"]),
    UniqueConstraint("id", "slot_id", "item_id", "annotator_id"),
    Index("lease_judged", "annotator_id", "item_id"),
)  # fmt: skip
_RUNS = LEASE.c.ended_at.is_(None)
Index("lease_runs_once", LEASE.c.slot_id, unique=True, sqlite_where=_RUNS, postgresql_where=_RUNS)
Index("lease_runs_for", LEASE.c.annotator_id, sqlite_where=_RUNS, postgresql_where=_RUNS)
Index("lease_runs_until", LEASE.c.expires_at, sqlite_where=_RUNS, postgresql_where=_RUNS)

VOTE = Table(
    "vote", TABLES,
    Column("id", Integer, primary_key=True),
    Column("lease_id", Integer, nullable=False, unique=True),
    Column("slot_id", Integer, nullable=False, unique=True),
    Column("item_id", Integer, nullable=False),
    Column("annotator_id", Integer, nullable=False),
    Column("winner", String(10), CheckConstraint("winner IN ('model_a', 'model_b', 'tie')"),
           nullable=False),
    Column("reasons", Text, nullable=False),
    Column("milliseconds", Integer, CheckConstraint("milliseconds >= 0"), nullable=False),
    Column("loops", Integer, CheckConstraint("loops >= 0"), nullable=False),
    Column("hidden_milliseconds", Integer, CheckConstraint("hidden_milliseconds >= 0"),
           nullable=False),
    Column("voted_at", Double, nullable=False, index=True),
    ForeignKeyConstraint(["lease_id", "slot_id", "item_id", "annotator_id"],
                         ["lease.id", "lease.slot_id", "lease.item_id", "lease.annotator_id"]),
    UniqueConstraint("annotator_id", "item_id"),
)  # fmt: skip

# No privileges are needed for these, and no code path gets around them.
for _table in (STUDY, VOTE):
    _refusal = f"rows of the table {_table.name} are only ever inserted"
    for _operation in ("UPDATE", "DELETE"):
        event.listen(_table, "after_create", DDL(
            f"CREATE TRIGGER {_table.name}_no_{_operation.lower()} BEFORE {_operation} "
            f"ON {_table.name} BEGIN SELECT RAISE(ABORT, '{_refusal}'); END",
        ).execute_if(dialect="sqlite"))
    event.listen(_table, "after_create", DDL(
        f"CREATE FUNCTION {_table.name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_refusal}'; END $$").execute_if(dialect="postgresql"))
    event.listen(_table, "after_create", DDL(
        f"CREATE TRIGGER {_table.name}_only_inserted BEFORE UPDATE OR DELETE OR TRUNCATE "
        f"ON {_table.name} FOR EACH STATEMENT EXECUTE FUNCTION {_table.name}_refuse()",
    ).execute_if(dialect="postgresql"))
