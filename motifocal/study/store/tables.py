"""Define the tables of a study, and the constraints that the database enforces.

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

import sqlalchemy as sa

VERSION = 1  # of these tables
OPEN, LEASED, VOTED = "open", "leased", "voted"

TABLES = sa.MetaData()

STUDY = sa.Table(
    "study", TABLES,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True,
              autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("protocol_sha256", sa.String(64), nullable=False),
    sa.Column("material", sa.Text, nullable=False),
    sa.Column("salt", sa.String(64), nullable=False),
)  # fmt: skip

BLOB = sa.Table(
    "blob", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("content_type", sa.String(50), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)  # fmt: skip

# Several tokens may show one blob: a model's video in two comparisons has two.
MEDIA = sa.Table(
    "media", TABLES,
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("blob_id", sa.ForeignKey("blob.id"), nullable=False),
)  # fmt: skip

PAIR = sa.Table(
    "pair", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("stem", sa.Text, nullable=False, unique=True),
    sa.Column("image_id", sa.Text, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("scenario", sa.Text, nullable=False),
)  # fmt: skip

COMPARISON = sa.Table(
    "comparison", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model_a", sa.Text, nullable=False),
    sa.Column("model_b", sa.Text, nullable=False),
    sa.UniqueConstraint("model_a", "model_b"),
)  # fmt: skip

# `picture` is the same token for all items of one picture. `rank` is the item's place in the
# random order of the study; gold items have none. A repeat is a repeat `of` an item.
ITEM = sa.Table(
    "item", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("comparison_id", sa.ForeignKey("comparison.id")),
    sa.Column("pair_id", sa.ForeignKey("pair.id"), nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("model_a", sa.Text, nullable=False),
    sa.Column("model_b", sa.Text, nullable=False),
    sa.Column("picture", sa.ForeignKey("media.token"), nullable=False),
    sa.Column("video_a", sa.ForeignKey("media.token"), nullable=False),
    sa.Column("video_b", sa.ForeignKey("media.token"), nullable=False),
    sa.Column("gold", sa.String(20)),
    sa.Column("repeat_of", sa.ForeignKey("item.id"), unique=True),
    sa.Column("rank", sa.Integer, unique=True),
    sa.CheckConstraint("(gold IS NULL) = (rank IS NOT NULL)"),
    sa.CheckConstraint("(gold IS NOT NULL AND gold = 'repeat') = (repeat_of IS NOT NULL)"),
    sa.Index("item_gold", "gold"),
)  # fmt: skip

ANNOTATOR = sa.Table(
    "annotator", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("joined_at", sa.Double, nullable=False),
    sa.Column("consented_at", sa.Double),
    sa.Column("finished_at", sa.Double),
)  # fmt: skip

# A recruitment service's id of an annotator, hashed; raw only if the protocol keeps it.
PERSON = sa.Table(
    "person", TABLES,
    sa.Column("annotator_id", sa.ForeignKey("annotator.id"), primary_key=True),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("external_hash", sa.String(64), nullable=False),
    sa.Column("external", sa.Text),
    sa.UniqueConstraint("source", "external_hash"),
)  # fmt: skip

# A gold slot is made when it is leased, `only_for` one annotator, whose id is its number. A slot
# that `replaces` another asks again for the vote of an annotator who failed the gold items.
SLOT = sa.Table(
    "slot", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("item_id", sa.ForeignKey("item.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("shown_left", sa.String(10),
              sa.CheckConstraint("shown_left IN ('model_a', 'model_b')"), nullable=False),
    sa.Column("state", sa.String(10), sa.CheckConstraint("state IN ('open', 'leased', 'voted')"),
              nullable=False),
    sa.Column("rank", sa.Integer),
    sa.Column("only_for", sa.ForeignKey("annotator.id")),
    sa.Column("replaces", sa.ForeignKey("slot.id"), unique=True),
    sa.CheckConstraint("(rank IS NULL) = (only_for IS NOT NULL)"),
    sa.UniqueConstraint("item_id", "number"),
    sa.UniqueConstraint("id", "item_id"),
)  # fmt: skip
# As it stands, not as a parameter: else no database can tell that the index below is meant.
IS_OPEN = SLOT.c.state == sa.literal_column("'open'")
_WANTED = IS_OPEN & SLOT.c.only_for.is_(None)
sa.Index("slot_wanted", SLOT.c.rank, SLOT.c.number,
         sqlite_where=_WANTED, postgresql_where=_WANTED)

LEASE = sa.Table(
    "lease", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("slot_id", sa.Integer, nullable=False),
    sa.Column("item_id", sa.Integer, nullable=False),
    sa.Column("annotator_id", sa.ForeignKey("annotator.id"), nullable=False),
    sa.Column("leased_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("shown_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.ForeignKeyConstraint(["slot_id", "item_id"], ["slot.id", "slot.item_id"]),
    sa.UniqueConstraint("id", "slot_id", "item_id", "annotator_id"),
    sa.Index("lease_judged", "annotator_id", "item_id"),
)  # fmt: skip
_RUNS = LEASE.c.ended_at.is_(None)
sa.Index("lease_runs_once", LEASE.c.slot_id, unique=True, sqlite_where=_RUNS,
         postgresql_where=_RUNS)
sa.Index("lease_runs_for", LEASE.c.annotator_id, sqlite_where=_RUNS, postgresql_where=_RUNS)
sa.Index("lease_runs_until", LEASE.c.expires_at, sqlite_where=_RUNS, postgresql_where=_RUNS)

VOTE = sa.Table(
    "vote", TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("lease_id", sa.Integer, nullable=False, unique=True),
    sa.Column("slot_id", sa.Integer, nullable=False, unique=True),
    sa.Column("item_id", sa.Integer, nullable=False),
    sa.Column("annotator_id", sa.Integer, nullable=False),
    sa.Column("winner", sa.String(10),
              sa.CheckConstraint("winner IN ('model_a', 'model_b', 'tie')"), nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("milliseconds", sa.Integer, sa.CheckConstraint("milliseconds >= 0"), nullable=False),
    sa.Column("loops", sa.Integer, sa.CheckConstraint("loops >= 0"), nullable=False),
    sa.Column("hidden_milliseconds", sa.Integer, sa.CheckConstraint("hidden_milliseconds >= 0"),
              nullable=False),
    sa.Column("voted_at", sa.Double, nullable=False, index=True),
    sa.ForeignKeyConstraint(["lease_id", "slot_id", "item_id", "annotator_id"],
                         ["lease.id", "lease.slot_id", "lease.item_id", "lease.annotator_id"]),
    sa.UniqueConstraint("annotator_id", "item_id"),
)  # fmt: skip

# No privileges are needed for these, and no code path gets around them.
for _table in (STUDY, VOTE):
    _refusal = f"rows of the table {_table.name} are only ever inserted"
    for _operation in ("UPDATE", "DELETE"):
        sa.event.listen(_table, "after_create", sa.DDL(
            f"CREATE TRIGGER {_table.name}_no_{_operation.lower()} BEFORE {_operation} "
            f"ON {_table.name} BEGIN SELECT RAISE(ABORT, '{_refusal}'); END",
        ).execute_if(dialect="sqlite"))
    sa.event.listen(_table, "after_create", sa.DDL(
        f"CREATE FUNCTION {_table.name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_refusal}'; END $$").execute_if(dialect="postgresql"))
    sa.event.listen(_table, "after_create", sa.DDL(
        f"CREATE TRIGGER {_table.name}_only_inserted BEFORE UPDATE OR DELETE OR TRUNCATE "
        f"ON {_table.name} FOR EACH STATEMENT EXECUTE FUNCTION {_table.name}_refuse()",
    ).execute_if(dialect="postgresql"))
