-- Who keeps lists of the people it was given is a matter of record, whatever a sender's provider is called: notices
-- go to every one of them that ever had the person's data.

CREATE OR REPLACE FUNCTION consent_events_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address, address_hash)
  SELECT k.provider, 'standing', a.customer_id, a.address, a.address_hash FROM addresses a CROSS JOIN list_keepers k
   WHERE a.customer_id = NEW.customer_id
     AND EXISTS (SELECT 1 FROM deliveries d WHERE d.customer_id = NEW.customer_id AND d.provider = k.provider);
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION consent_events_tell_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address, address_hash)
  SELECT DISTINCT n.provider, 'standing', a.customer_id, a.address, a.address_hash
    FROM provider_notices n JOIN addresses a ON a.customer_id = n.customer_id
   WHERE n.customer_id = NEW.customer_id AND n.kind = 'standing';
  RETURN NULL;
END $$;

-- An address that is removed here, or gave way to another one, has no business there either. It is told when nobody
-- has the address any more.
CREATE OR REPLACE FUNCTION addresses_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO provider_notices (provider, kind, customer_id, address, address_hash)
  SELECT k.provider, 'erasure', OLD.customer_id, OLD.address, OLD.address_hash FROM list_keepers k
   WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.customer_id = OLD.customer_id AND d.provider = k.provider);
  RETURN NULL;
END $$;
CREATE TRIGGER addresses_changed_tell AFTER UPDATE OF address_hash ON addresses
  FOR EACH ROW WHEN (OLD.address_hash <> NEW.address_hash) EXECUTE FUNCTION addresses_tell();

-- The projection says who may be mailed. Only the ledger's trigger writes it, as the role that owns the tables: the
-- application's role may append to the ledger and can't make a yes in any other way.
ALTER FUNCTION consent_events_before() SECURITY DEFINER SET search_path = public, pg_temp;
