"""T1: write down what is about to be handed over, and commit, before anything is.

A worker that dies after this leaves a row that says so: it goes in doubt and is never repeated by itself. Nothing
here waits long: whatever is held by somebody else stays pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow
from sqlalchemy.orm import Session

from mailer import arrays, canary, statements
from mailer.pick import Candidate, Job, ids
from mailer.statements import Statement

DEADLINE_SECONDS = 13.0
"""W + D and what lies between T1 and T2: after this the reaper looks, and a held lock still means alive."""

STILL_OPEN = ("pending", "handing_over")
"""States of a holder of an address key who may yet give it back. In any other the key says that an attempt of his may
have been taken, whatever became of a later one: an attempt that surely was not has deleted its own."""

# The patience first: it holds for the rest of the transaction. Nothing here waits long for anybody.
_STILL_PENDING = Statement("""
    SELECT d.id FROM (SELECT set_config('lock_timeout', '200ms', true)) AS patience,
           deliveries d JOIN mandates m ON m.campaign_id = d.campaign_id, installation i
     WHERE d.id = ANY(CAST(:ids AS uuid[])) AND d.state = 'pending'
       AND m.state = 'sending' AND m.approved_hash = :hash AND NOT i.hold
     ORDER BY d.id FOR UPDATE OF d SKIP LOCKED
""")
_TAKE_ADDRESSES = Statement("""
    INSERT INTO campaign_addresses (campaign_id, address_hash, delivery_id, attempt_id)
    SELECT :campaign, w.hash, w.id, :attempt
      FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS bytea[])) AS w(id, hash) ORDER BY w.hash
    ON CONFLICT DO NOTHING RETURNING delivery_id
""")
_HOLDERS = Statement("""
    SELECT k.address_hash, k.delivery_id, d.state FROM campaign_addresses k
      LEFT JOIN deliveries d ON d.id = k.delivery_id
     WHERE k.campaign_id = :campaign AND k.address_hash = ANY(CAST(:hashes AS bytea[]))
""")
# By hash: there is no other way to a key than through all of its campaign.
_RELEASE = Statement("""
    DELETE FROM campaign_addresses
     WHERE campaign_id = :campaign AND address_hash = ANY(CAST(:hashes AS bytea[]))
       AND attempt_id = :attempt AND NOT delivery_id = ANY(CAST(:kept AS uuid[]))
""")
# One statement, one fate: who has no open hand-over of this attempt gets no intent. An array, because a join of two
# sets without an index compares each with each.
_INTEND = Statement("""
    WITH w AS (
      SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:customers AS bigint[]), CAST(:hashes AS bytea[]),
                           CAST(:domains AS text[]), CAST(:events AS bigint[]), CAST(:seqs AS int[]),
                           CAST(:policies AS int[]))
                    AS w(id, customer_id, hash, domain, event, seq, policy)),
    opened AS (
      INSERT INTO open_handovers (customer_id, delivery_id, attempt_id, campaign_id, deadline, worker)
      SELECT customer_id, id, :attempt, :campaign, clock_timestamp() + make_interval(secs => :seconds), :worker
        FROM w ORDER BY customer_id
      ON CONFLICT DO NOTHING RETURNING delivery_id),
    stated AS (
      UPDATE deliveries d SET state = 'handing_over', reason = NULL, attempt_id = :attempt,
             address_hash = coalesce(w.hash, d.address_hash), recipient_domain = coalesce(w.domain, d.recipient_domain),
             consent_event_id = w.event, ledger_seq_seen = w.seq, policy_version_id = w.policy,
             revision_id = :revision, provider = :provider, intended_at = clock_timestamp(), resend_approved_by = NULL
        FROM w WHERE w.id = ANY(ARRAY(SELECT delivery_id FROM opened))
         AND d.id = w.id AND d.customer_id = w.customer_id RETURNING d.id, d.customer_id),
    gone AS (DELETE FROM come_back b USING stated s WHERE b.delivery_id = s.id AND b.customer_id = s.customer_id)
    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, worker)
    SELECT customer_id, id, :attempt, 'intent', :worker FROM stated RETURNING delivery_id
""")
_WITHHOLD_DUPLICATES = Statement("""
    WITH stated AS (
      UPDATE deliveries SET state = 'withheld', reason = 'duplicate_address', settled_at = clock_timestamp()
       WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING id, customer_id),
    gone AS (DELETE FROM come_back WHERE delivery_id = ANY(CAST(:ids AS uuid[])))
    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, code, worker)
    SELECT customer_id, id, :attempt, 'withheld', 'duplicate_address', :worker FROM stated
""")


def intend(
    session: Session, job: Job, candidates: Sequence[Candidate], *, attempt_id: UUID, provider: str, worker: str
) -> list[Candidate]:
    """Store the intent for those of `candidates` that are free; return them. The caller commits at once.

    Each gets its address key (two records with one address get one mail), an open hand-over (one per person over
    all campaigns) and the consent event it means to rely on. Others stay as they are, except people whose address
    got this campaign through another record: those are withheld.
    """
    free = statements.run(session, _STILL_PENDING, {"ids": arrays.uuids(ids(candidates)), "hash": job.approved_hash})
    mine = _those(candidates, free)
    if job.canary:
        mine = mine[: canary.release(session, job.campaign_id, len(mine))]
    common = {"campaign": job.campaign_id, "attempt": attempt_id, "worker": worker}
    mine, duplicates = _take_addresses(session, mine, common)
    opened = _those(mine, statements.run(session, _INTEND, _words(job, mine, common, provider))) if mine else []
    if len(opened) < len(mine):
        kept = ids(opened)
        hashes = arrays.blobs(c.address_hash for c in mine if c.address_hash and c.delivery_id not in kept)
        statements.run(session, _RELEASE, {**common, "hashes": hashes, "kept": arrays.uuids(kept)})
    if duplicates:
        statements.run(session, _WITHHOLD_DUPLICATES, {**common, "ids": arrays.uuids(duplicates)})
    return opened


def _those(candidates: Sequence[Candidate], found: Cursor[TupleRow]) -> list[Candidate]:
    """Return those of `candidates` whose ids were found, each once: a row may have been picked by both ways at once."""
    if found.rowcount == len(candidates):
        return list(candidates)  # as many ids as candidates: all of them
    known = {row[0] for row in found}
    return list({c.delivery_id: c for c in candidates if c.delivery_id in known}.values())


def _words(job: Job, candidates: Sequence[Candidate], common: dict[str, object], provider: str) -> dict[str, object]:
    return {
        **common,
        "ids": arrays.uuids(ids(candidates)),
        "customers": arrays.numbers(c.customer_id for c in candidates),
        "hashes": arrays.blobs(c.address_hash for c in candidates),
        "domains": arrays.texts(c.domain for c in candidates),
        "events": arrays.numbers(c.consent_event_id for c in candidates),
        "seqs": arrays.numbers(c.ledger_seq for c in candidates),
        "policies": arrays.numbers(c.policy_version_id for c in candidates),
        "revision": job.revision_id,
        "provider": provider,
        "seconds": DEADLINE_SECONDS,
    }


def _take_addresses(
    session: Session, candidates: Sequence[Candidate], common: dict[str, object]
) -> tuple[list[Candidate], list[UUID]]:
    """Return those who hold their address key now, and those whose address has had this campaign already."""
    addressed = [candidate for candidate in candidates if candidate.address_hash is not None]
    hashes = arrays.blobs(candidate.address_hash for candidate in addressed)
    values = {**common, "ids": arrays.uuids(ids(addressed)), "hashes": hashes}
    if statements.run(session, _TAKE_ADDRESSES, values).rowcount == len(addressed):
        return list(candidates), []
    # In a later statement: a conflict says that there is a holder, not who.
    found = statements.run(session, _HOLDERS, {"campaign": common["campaign"], "hashes": hashes})
    holders = {address_hash: (holder, state) for address_hash, holder, state in found}
    mine, duplicates = [], []
    for candidate in candidates:
        holder = holders.get(candidate.address_hash) if candidate.address_hash is not None else None
        if candidate.address_hash is None or (holder is not None and holder[0] == candidate.delivery_id):
            mine.append(candidate)
        elif holder is not None and holder[1] not in STILL_OPEN:
            duplicates.append(candidate.delivery_id)
    return mine, duplicates
