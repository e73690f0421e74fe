-- Locks, the ledger's trigger and what may never happen. See docs/sending.md and docs/decisions.

-- Everything about consent runs READ COMMITTED: an older snapshot would read a standing from before its lock.
CREATE FUNCTION assert_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'this must run READ COMMITTED, not %', current_setting('transaction_isolation')
      USING ERRCODE = '25001';
  END IF;
END $$;

-- The marker says that this transaction went through the lock's door; a later trigger refuses without it.
CREATE FUNCTION lock_customers(ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM assert_read_committed();
  RETURN QUERY SELECT id FROM customers WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE;
  PERFORM set_config('askfirst.locked', pg_current_xact_id()::text, true);
END $$;

-- For writers of many people: take whom you get, come back for the rest.
CREATE FUNCTION lock_customers_available(ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM assert_read_committed();
  RETURN QUERY SELECT id FROM customers WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
  PERFORM set_config('askfirst.locked', pg_current_xact_id()::text, true);
END $$;

-- Address locks come before customers. Sorted, distinct, at most 1,000: the lock table is shared by everyone.
CREATE FUNCTION lock_addresses(hashes bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM assert_read_committed();
  IF cardinality(hashes) > 1000 THEN
    RAISE EXCEPTION 'at most 1000 addresses a transaction' USING ERRCODE = '53200';
  END IF;
  PERFORM pg_advisory_xact_lock(k)
     FROM (SELECT DISTINCT hashtextextended(encode(h, 'hex'), 0) AS k FROM unnest(hashes) h ORDER BY 1) s;
  PERFORM set_config('askfirst.locked_addresses', pg_current_xact_id()::text, true);
END $$;

-- One line of a ledger as bytes: a JSON array, so that no value can run into the next.
CREATE FUNCTION consent_link(e consent_events) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256(e.prev_hash || convert_to(json_build_array(
    e.customer_id, e.seq, e.id, e.action, e.purpose, e.channel,
    (extract(epoch FROM e.occurred_at) * 1000000)::bigint, (extract(epoch FROM e.recorded_at) * 1000000)::bigint,
    e.source, e.policy_version_id, e.wording_id, encode(e.wording_digest, 'hex'),
    encode(e.evidence_digest, 'hex'))::text, 'UTF8'))
$$;

-- Sequence, time and hash are given here, and the projection is kept here: nobody can write one without the other.
CREATE FUNCTION consent_events_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  head consent_heads;
  state consent_state;
  ends timestamptz;
BEGIN
  IF current_setting('askfirst.locked', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
    RAISE EXCEPTION 'lock_customers() first: a ledger is written under its person''s lock' USING ERRCODE = 'AF001';
  END IF;
  PERFORM 1 FROM customers WHERE id = NEW.customer_id FOR NO KEY UPDATE NOWAIT;
  SELECT * INTO head FROM consent_heads WHERE customer_id = NEW.customer_id;
  NEW.seq := coalesce(head.seq, 0) + 1;
  NEW.recorded_at := clock_timestamp();
  NEW.occurred_at := least(coalesce(NEW.occurred_at, NEW.recorded_at), NEW.recorded_at);
  NEW.wording_digest := (SELECT sha256(convert_to(w.words, 'UTF8')) FROM wordings w WHERE w.id = NEW.wording_id);
  NEW.prev_hash := coalesce(head.hash, sha256(convert_to('askfirst', 'UTF8')));
  NEW.hash := consent_link(NEW);

  IF NEW.action = 'withdraw_all' THEN
    UPDATE consent_state SET granted = false, seq = NEW.seq, event_id = NEW.id, policy_version_id = NULL,
           withdrawn_at = NEW.recorded_at
     WHERE customer_id = NEW.customer_id;
    ends := NEW.recorded_at;
  ELSE
    SELECT * INTO state FROM consent_state WHERE customer_id = NEW.customer_id AND purpose = NEW.purpose;
    IF NEW.action = 'withdraw' THEN
      INSERT INTO consent_state (customer_id, purpose, granted, seq, event_id, policy_version_id, withdrawn_at)
           VALUES (NEW.customer_id, NEW.purpose, false, NEW.seq, NEW.id, NULL, NEW.recorded_at)
      ON CONFLICT (customer_id, purpose) DO UPDATE
         SET granted = false, seq = NEW.seq, event_id = NEW.id, policy_version_id = NULL,
             withdrawn_at = NEW.recorded_at;
    -- A grant that happened before the last withdrawal was recorded changes nothing; neither does one under an
    -- older policy version than the grant already relied on.
    ELSIF NEW.occurred_at > coalesce(greatest(state.withdrawn_at, head.withdrawn_all_at), '-infinity')
          AND NOT (coalesce(state.granted, false) AND NEW.policy_version_id < state.policy_version_id) THEN
      INSERT INTO consent_state (customer_id, purpose, granted, seq, event_id, policy_version_id, withdrawn_at)
           VALUES (NEW.customer_id, NEW.purpose, true, NEW.seq, NEW.id, NEW.policy_version_id, NULL)
      ON CONFLICT (customer_id, purpose) DO UPDATE
         SET granted = true, seq = NEW.seq, event_id = NEW.id, policy_version_id = NEW.policy_version_id;
    END IF;
    ends := head.withdrawn_all_at;
  END IF;
  INSERT INTO consent_heads (customer_id, seq, hash, withdrawn_all_at)
       VALUES (NEW.customer_id, NEW.seq, NEW.hash, ends)
  ON CONFLICT (customer_id) DO UPDATE
     SET seq = NEW.seq, hash = NEW.hash, withdrawn_all_at = ends;
  RETURN NEW;
END $$;
CREATE TRIGGER consent_events_before BEFORE INSERT ON consent_events
  FOR EACH ROW EXECUTE FUNCTION consent_events_before();

-- A suppression is written under the lock of its address and of everybody who has that address.
CREATE FUNCTION suppressions_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('askfirst.locked_addresses', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
    RAISE EXCEPTION 'lock_addresses() first: a suppression is written under its address''s lock'
      USING ERRCODE = 'AF001';
  END IF;
  IF NOT pg_try_advisory_xact_lock(hashtextextended(encode(NEW.address_hash, 'hex'), 0)) THEN
    RAISE EXCEPTION 'another transaction holds this address' USING ERRCODE = '55P03';
  END IF;
  PERFORM 1 FROM customers WHERE id IN (SELECT customer_id FROM addresses WHERE address_hash = NEW.address_hash)
    ORDER BY id FOR NO KEY UPDATE NOWAIT;
  RETURN NEW;
END $$;
CREATE TRIGGER suppressions_before BEFORE INSERT OR UPDATE ON suppressions
  FOR EACH ROW EXECUTE FUNCTION suppressions_before();

CREATE FUNCTION suppressions_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO suppression_events (address_hash, scope, action, reason)
  VALUES (NEW.address_hash, NEW.scope, CASE WHEN NEW.lifted_at IS NULL THEN 'set' ELSE 'lifted' END, NEW.reason);
  RETURN NULL;
END $$;
CREATE TRIGGER suppressions_after AFTER INSERT OR UPDATE ON suppressions
  FOR EACH ROW EXECUTE FUNCTION suppressions_after();

-- The gate compares the address under the person's lock, so whoever changes it must hold that lock.
CREATE FUNCTION addresses_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('askfirst.locked', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
    RAISE EXCEPTION 'lock_customers() first: an address is changed under its person''s lock' USING ERRCODE = 'AF001';
  END IF;
  PERFORM 1 FROM customers WHERE id = OLD.customer_id FOR NO KEY UPDATE NOWAIT;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER addresses_before BEFORE UPDATE OR DELETE ON addresses
  FOR EACH ROW EXECUTE FUNCTION addresses_before();

-- What was said, done and approved stays as it was.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'AF002';
END $$;
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['consent_events', 'delivery_attempts', 'operator_acts', 'suppression_events', 'revisions',
                           'wordings', 'policy_changes', 'approvals', 'ledger_digests'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()',
                   t || '_append_only', t);
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_no_truncate', t);
  END LOOP;
END $$;

-- What the ledger had come to when a stop was asked for. Order is by sequence, never by time: clocks step back.
CREATE FUNCTION last_consent_event_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM consent_events_id_seq
$$;
ALTER TABLE stop_requests ALTER COLUMN event_id_seen SET DEFAULT last_consent_event_id();

-- A no is never taken away by removing its row: it is folded or lifted, and both leave a trace.
CREATE TRIGGER suppressions_no_delete BEFORE DELETE ON suppressions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER suppressions_no_truncate BEFORE TRUNCATE ON suppressions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stop_requests_no_delete BEFORE DELETE ON stop_requests FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stop_requests_no_truncate BEFORE TRUNCATE ON stop_requests FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION stop_requests_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.customer_id, NEW.address_hash, NEW.scope, NEW.requested_at)
       IS DISTINCT FROM (OLD.customer_id, OLD.address_hash, OLD.scope, OLD.requested_at)
     OR (OLD.folded_at IS NOT NULL AND NEW.folded_at IS DISTINCT FROM OLD.folded_at) THEN
    RAISE EXCEPTION 'a stop request is only ever folded, once' USING ERRCODE = 'AF002';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stop_requests_before BEFORE UPDATE ON stop_requests
  FOR EACH ROW EXECUTE FUNCTION stop_requests_before();

-- Operators' acts form one chain. Appended as the last statement of the act's transaction: the lock is brief.
CREATE FUNCTION operator_act_link(e operator_acts) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256(e.prev_hash || convert_to(json_build_array(
    e.seq, e.operator_id, e.act, e.subject, e.document::text,
    (extract(epoch FROM e.at) * 1000000)::bigint)::text, 'UTF8'))
$$;
CREATE FUNCTION operator_acts_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last operator_acts;
BEGIN
  PERFORM pg_advisory_xact_lock(7220642);
  SELECT * INTO last FROM operator_acts ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(last.seq, 0) + 1;
  NEW.at := clock_timestamp();
  NEW.prev_hash := coalesce(last.hash, sha256(convert_to('askfirst', 'UTF8')));
  NEW.hash := operator_act_link(NEW);
  RETURN NEW;
END $$;
CREATE TRIGGER operator_acts_before BEFORE INSERT ON operator_acts
  FOR EACH ROW EXECUTE FUNCTION operator_acts_before();

-- An approval is by somebody else than the author of the campaign as it is, while it waits for one.
CREATE FUNCTION approvals_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE c campaigns;
BEGIN
  SELECT * INTO c FROM campaigns WHERE id = NEW.campaign_id FOR UPDATE;
  IF c.author_id IS DISTINCT FROM NEW.author_id OR c.author_id = NEW.approver_id THEN
    RAISE EXCEPTION 'a campaign is approved by somebody other than its author' USING ERRCODE = 'AF003';
  END IF;
  IF c.state <> 'waiting' THEN
    RAISE EXCEPTION 'only a campaign that waits for approval can be approved' USING ERRCODE = 'AF003';
  END IF;
  IF EXISTS (SELECT 1 FROM revisions r WHERE r.id = c.revision_id AND r.author_id = NEW.approver_id) THEN
    RAISE EXCEPTION 'content is approved by somebody other than its author' USING ERRCODE = 'AF003';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_before BEFORE INSERT ON approvals FOR EACH ROW EXECUTE FUNCTION approvals_before();

-- A marketing mandate exists only for a hash that somebody approved.
CREATE FUNCTION mandates_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.message_class = 'marketing' AND NOT EXISTS (
       SELECT 1 FROM approvals a WHERE a.campaign_id = NEW.campaign_id AND a.approved_hash = NEW.approved_hash) THEN
    RAISE EXCEPTION 'no approval of exactly this content, audience and sender' USING ERRCODE = 'AF003';
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.approved_hash = OLD.approved_hash AND
     (NEW.purpose, NEW.message_class, NEW.revision_id, NEW.sender_id)
       IS DISTINCT FROM (OLD.purpose, OLD.message_class, OLD.revision_id, OLD.sender_id) THEN
    RAISE EXCEPTION 'what was approved is not changed under its approval' USING ERRCODE = 'AF003';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER mandates_before
  BEFORE INSERT OR UPDATE OF campaign_id, state, purpose, message_class, revision_id, sender_id, approved_hash
  ON mandates FOR EACH ROW EXECUTE FUNCTION mandates_before();

-- A sender that is changed is not the sender that was approved: what goes out under it stops at once.
CREATE FUNCTION senders_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE mandates SET state = 'paused', state_reason = 'the sender was changed'
   WHERE sender_id = NEW.id AND state = 'sending';
  RETURN NULL;
END $$;
CREATE TRIGGER senders_after AFTER UPDATE ON senders FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION senders_after();

-- The gate obeys the mandate, people read the campaign: both say the same, whoever changed the mandate.
CREATE FUNCTION mandates_after() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE told text := CASE NEW.state WHEN 'finished' THEN 'sent' ELSE NEW.state END;
BEGIN
  UPDATE campaigns SET state = told WHERE id = NEW.campaign_id AND state <> told;
  -- An operator's act has changed the campaign already and says itself who did it.
  IF FOUND AND NEW.state = 'paused' AND NEW.state_reason IS NOT NULL THEN
    INSERT INTO campaign_events (campaign_id, what) VALUES (NEW.campaign_id, 'Paused: ' || NEW.state_reason);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER mandates_after AFTER UPDATE OF state ON mandates
  FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state) EXECUTE FUNCTION mandates_after();

INSERT INTO installation (id) VALUES (1);
INSERT INTO purposes (key, name, description, position) VALUES
  ('festive', 'festivals and seasons', 'Wishes and offers before festivals and seasons, a few times a year.', 1),
  ('launch', 'new products', 'When something new comes into our shops, about once a month.', 2),
  ('offer', 'offers and discounts', 'Things that cost less for a while, about twice a month.', 3),
  ('service', 'service and care reminders', 'When something you bought is due for a service or care.', 4);
INSERT INTO roles (name, description) VALUES
  ('author', 'writes campaigns and segments'),
  ('approver', 'approves what somebody else wrote'),
  ('helpline', 'looks up a person and stops mail for them'),
  ('admin', 'sets up senders, operators and providers');
