-- Never twice, unless two people said so: the database refuses what no code here may do.

-- A request is decided once, by somebody else than who made it (or taken back by the one who did), and stays.
CREATE FUNCTION resend_requests_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.decision IS NOT NULL THEN
      RAISE EXCEPTION 'a request to send again is made first and decided later' USING ERRCODE = 'AF003';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.decision IS NOT NULL OR NEW.decision IS NULL
     OR (NEW.id, NEW.campaign_id, NEW.proposed_by, NEW.reason, NEW.proposed_at)
          IS DISTINCT FROM (OLD.id, OLD.campaign_id, OLD.proposed_by, OLD.reason, OLD.proposed_at) THEN
    RAISE EXCEPTION 'a request to send again is only ever decided, once' USING ERRCODE = 'AF002';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER resend_requests_before BEFORE INSERT OR UPDATE ON resend_requests
  FOR EACH ROW EXECUTE FUNCTION resend_requests_before();

-- What a request is about doesn't grow after it was decided, and each row of it ends once.
CREATE FUNCTION resend_rows_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.outcome IS NOT NULL OR EXISTS (
         SELECT 1 FROM resend_requests q WHERE q.id = NEW.request_id AND q.decision IS NOT NULL) THEN
      RAISE EXCEPTION 'a request that was decided covers nobody else' USING ERRCODE = 'AF002';
    END IF;
  ELSIF OLD.outcome IS NOT NULL OR NEW.outcome IS NULL
     OR (NEW.customer_id, NEW.delivery_id, NEW.request_id, NEW.attempt_id)
          IS DISTINCT FROM (OLD.customer_id, OLD.delivery_id, OLD.request_id, OLD.attempt_id) THEN
    RAISE EXCEPTION 'a row of a request to send again ends once' USING ERRCODE = 'AF002';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER resend_rows_before BEFORE INSERT OR UPDATE ON resend_rows
  FOR EACH ROW EXECUTE FUNCTION resend_rows_before();

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['resend_requests', 'resend_rows'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()',
                   t || '_no_delete', t);
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_no_truncate', t);
  END LOOP;
END $$;

-- What was, or may have been, taken by a provider goes back to pending only where nobody knows, and two people want it.
-- An AFTER trigger with a condition: the hot path pays a comparison for it, not a lock of the row.
CREATE FUNCTION deliveries_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'unconfirmed' OR NOT EXISTS (
       SELECT 1 FROM resend_rows r JOIN resend_requests q ON q.id = r.request_id
        WHERE r.customer_id = NEW.customer_id AND r.delivery_id = NEW.id AND r.attempt_id = OLD.attempt_id
          AND r.outcome IS NULL AND q.campaign_id = NEW.campaign_id
          AND q.decision = 'approved' AND q.decided_by = NEW.resend_approved_by AND q.decided_by <> q.proposed_by) THEN
    RAISE EXCEPTION 'what may have been taken is not sent again unless a second person approved it'
      USING ERRCODE = 'AF003';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER deliveries_again AFTER UPDATE ON deliveries FOR EACH ROW
  WHEN (NEW.state = 'pending' AND OLD.state IN ('accepted', 'refused_by_provider', 'in_doubt', 'unconfirmed', 'closed'))
  EXECUTE FUNCTION deliveries_again();
