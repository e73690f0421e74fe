-- A sender is for some purposes and for no other, whoever writes the mandate.
CREATE FUNCTION sender_allows(wanted text, sender int) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT wanted = ANY(purposes) FROM senders WHERE id = sender), false)
$$;

CREATE FUNCTION mandates_sender() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- To stop is always allowed. What starts holds the sender still: nobody narrows it between this look and the commit.
  IF NEW.state IN ('approved', 'sending') THEN
    PERFORM 1 FROM senders WHERE id = NEW.sender_id FOR SHARE;
    IF NOT sender_allows(NEW.purpose, NEW.sender_id) THEN
      RAISE EXCEPTION 'this sender is not for mail of the purpose %', NEW.purpose USING ERRCODE = 'AF003';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER mandates_sender BEFORE INSERT OR UPDATE OF state, purpose, sender_id ON mandates
  FOR EACH ROW EXECUTE FUNCTION mandates_sender();

CREATE FUNCTION approvals_sender() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE c campaigns;
BEGIN
  SELECT * INTO c FROM campaigns WHERE id = NEW.campaign_id;
  IF NOT sender_allows(c.purpose, c.sender_id) THEN
    RAISE EXCEPTION 'this sender is not for mail of the purpose %', c.purpose USING ERRCODE = 'AF003';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_sender BEFORE INSERT ON approvals FOR EACH ROW EXECUTE FUNCTION approvals_sender();

-- A purpose is named by its key, and only one that there is. No foreign key reaches into an array.
CREATE FUNCTION senders_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE unknown text;
BEGIN
  SELECT k INTO unknown FROM unnest(NEW.purposes) k WHERE NOT EXISTS (SELECT 1 FROM purposes p WHERE p.key = k);
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'there is no purpose %', unknown USING ERRCODE = 'AF003';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER senders_before BEFORE INSERT OR UPDATE OF purposes ON senders
  FOR EACH ROW EXECUTE FUNCTION senders_before();
