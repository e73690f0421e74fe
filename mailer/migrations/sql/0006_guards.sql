-- What a restore must not undo, written down by triggers so that no door can forget it. The clock exports it.

CREATE FUNCTION stop_requests_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO journal (kind, customer_id, ref_digest, address_hash, scope, origin, at)
  VALUES ('stop', NEW.customer_id, (SELECT sha256(c.ref) FROM customers c WHERE c.id = NEW.customer_id),
          NEW.address_hash, NEW.scope, NEW.id, NEW.requested_at);
  RETURN NULL;
END $$;
CREATE TRIGGER stop_requests_journal AFTER INSERT ON stop_requests
  FOR EACH ROW EXECUTE FUNCTION stop_requests_journal();

CREATE FUNCTION consent_events_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO journal (kind, customer_id, ref_digest, scope, origin, origin_hash, at)
  VALUES ('withdraw', NEW.customer_id, (SELECT sha256(c.ref) FROM customers c WHERE c.id = NEW.customer_id),
          coalesce(NEW.purpose, 'all'), NEW.seq, NEW.hash, NEW.recorded_at);
  RETURN NULL;
END $$;
CREATE TRIGGER consent_events_journal AFTER INSERT ON consent_events
  FOR EACH ROW WHEN (NEW.action <> 'grant') EXECUTE FUNCTION consent_events_journal();

CREATE FUNCTION suppression_events_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO journal (kind, address_hash, scope, reason, origin, at)
  VALUES ('suppress', NEW.address_hash, NEW.scope, NEW.reason, NEW.id, NEW.at);
  RETURN NULL;
END $$;
CREATE TRIGGER suppression_events_journal AFTER INSERT ON suppression_events
  FOR EACH ROW WHEN (NEW.action = 'set') EXECUTE FUNCTION suppression_events_journal();

CREATE FUNCTION customers_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO journal (kind, customer_id, ref_digest, address_hash, scope, at)
  VALUES ('erase', NEW.id, sha256(NEW.ref), (SELECT a.address_hash FROM addresses a WHERE a.customer_id = NEW.id),
          'all', clock_timestamp());
  RETURN NULL;
END $$;
CREATE TRIGGER customers_journal AFTER UPDATE OF account ON customers
  FOR EACH ROW WHEN (NEW.account = 'erased' AND OLD.account <> 'erased') EXECUTE FUNCTION customers_journal();

CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
