-- Where the links of a revision lead was approved with it, and stays: a link in somebody's mail leads nowhere else.
CREATE TRIGGER link_destinations_append_only BEFORE UPDATE OR DELETE ON link_destinations
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER link_destinations_no_truncate BEFORE TRUNCATE ON link_destinations
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whether clicks are counted is part of what was approved.
CREATE FUNCTION mandates_tracking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was approved is not changed under its approval' USING ERRCODE = 'AF003';
END $$;
CREATE TRIGGER mandates_tracking BEFORE UPDATE OF click_tracking ON mandates FOR EACH ROW
  WHEN (NEW.click_tracking IS DISTINCT FROM OLD.click_tracking) EXECUTE FUNCTION mandates_tracking();

-- Who is erased, turns out to be under 18 (DPDP s.9(3)) or doesn't want to be counted leaves no clicks behind.
CREATE FUNCTION clicks_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'customer_limits' THEN
    DELETE FROM clicks WHERE customer_id = NEW.customer_id;
  ELSE
    DELETE FROM clicks WHERE customer_id = NEW.id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER customers_forget_clicks AFTER UPDATE OF account, birth_date ON customers FOR EACH ROW
  WHEN (NEW.account = 'erased' OR NEW.birth_date > current_date - interval '18 years')
  EXECUTE FUNCTION clicks_forget();
CREATE TRIGGER limits_forget_clicks AFTER INSERT OR UPDATE OF clicks_uncounted ON customer_limits FOR EACH ROW
  WHEN (NEW.clicks_uncounted) EXECUTE FUNCTION clicks_forget();
