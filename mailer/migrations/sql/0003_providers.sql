-- A provider that was given somebody's data is told when they say no, and when they are erased (DPDP s.6(6)).
-- Triggers, so that no door can forget it: the notice commits with the withdrawal or not at all.

-- The intent of a hand-over names its provider and is committed before anything is handed over, so whoever was ever
-- given to a provider is found here.
CREATE FUNCTION consent_events_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address)
  SELECT 'sendgrid', 'standing', a.customer_id, a.address FROM addresses a
   WHERE a.customer_id = NEW.customer_id
     AND EXISTS (SELECT 1 FROM deliveries d WHERE d.customer_id = NEW.customer_id AND d.provider = 'sendgrid');
  RETURN NULL;
END $$;
CREATE TRIGGER consent_events_tell AFTER INSERT ON consent_events
  FOR EACH ROW WHEN (NEW.action <> 'grant') EXECUTE FUNCTION consent_events_tell();

-- A new yes after we told of a no: without this the provider would drop mail that the person wants again.
CREATE FUNCTION consent_events_tell_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address)
  SELECT DISTINCT n.provider, 'standing', a.customer_id, a.address
    FROM provider_notices n JOIN addresses a ON a.customer_id = n.customer_id
   WHERE n.customer_id = NEW.customer_id AND n.kind = 'standing';
  RETURN NULL;
END $$;
CREATE TRIGGER consent_events_tell_again AFTER INSERT ON consent_events
  FOR EACH ROW WHEN (NEW.action = 'grant') EXECUTE FUNCTION consent_events_tell_again();

-- An address that is removed here (erasure, deactivation) has no business there either.
CREATE FUNCTION addresses_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address)
  SELECT 'sendgrid', 'erasure', OLD.customer_id, OLD.address
   WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.customer_id = OLD.customer_id AND d.provider = 'sendgrid');
  RETURN NULL;
END $$;
CREATE TRIGGER addresses_tell AFTER DELETE ON addresses FOR EACH ROW EXECUTE FUNCTION addresses_tell();
