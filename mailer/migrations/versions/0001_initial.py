"""the first schema"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audience_exclusions",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "customer_id", name=op.f("pk_audience_exclusions")),
    )
    op.create_table(
        "campaign_addresses",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "address_hash", name=op.f("pk_campaign_addresses")),
    )
    op.create_table(
        "come_back",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "customer_id", name=op.f("pk_come_back")),
    )
    op.create_index("ix_come_back_due", "come_back", ["campaign_id", "not_before"], unique=False)
    op.create_table(
        "consent_evidence",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "seq", name=op.f("pk_consent_evidence")),
    )
    op.create_table(
        "consent_heads",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("withdrawn_all_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_consent_heads")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "consent_state",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("policy_version_id", sa.Integer(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "purpose", name=op.f("pk_consent_state")),
    )
    op.create_index(
        "ix_consent_state_granted",
        "consent_state",
        ["purpose", "customer_id", "policy_version_id"],
        unique=False,
        postgresql_where=sa.text("granted"),
    )
    op.create_table(
        "customer_totals",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("spent_paise", sa.BigInteger(), nullable=False),
        sa.Column("first_order_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_order_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_totals")),
    )
    op.create_index(
        "ix_customer_totals_last_order_at", "customer_totals", ["last_order_at", "customer_id"], unique=False
    )
    op.create_index("ix_customer_totals_spent_paise", "customer_totals", ["spent_paise", "customer_id"], unique=False)
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("external_ref", sa.String(), nullable=True),
        sa.Column("given_name", sa.String(), nullable=True),
        sa.Column("family_name", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("street", sa.String(), nullable=True),
        sa.Column("city", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=True),
        sa.Column("postal_code", sa.String(), nullable=True),
        sa.Column("country", sa.String(), server_default="IN", nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("declared_adult_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locale", sa.String(), server_default="en-IN", nullable=False),
        sa.Column("time_zone", sa.String(), server_default="Asia/Kolkata", nullable=False),
        sa.Column("sign_in_source", sa.String(), server_default="none", nullable=False),
        sa.Column("account", sa.String(), server_default="active", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("account IN ('active', 'deactivated', 'erased')", name=op.f("ck_customers_account")),
        sa.CheckConstraint(
            "sign_in_source IN ('own', 'social', 'third_party', 'none')", name=op.f("ck_customers_sign_in_source")
        ),
        sa.CheckConstraint("octet_length(ref) = 16", name=op.f("ck_customers_ref")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("external_ref", name=op.f("uq_customers_external_ref")),
        sa.UniqueConstraint("ref", name=op.f("uq_customers_ref")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_customers_city", "customers", ["city"], unique=False)
    op.create_index("ix_customers_state", "customers", ["state"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recipient_domain", sa.String(), nullable=False),
        sa.Column("message_class", sa.String(), server_default="marketing", nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="pending", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("consent_event_id", sa.BigInteger(), nullable=True),
        sa.Column("ledger_seq_seen", sa.Integer(), nullable=True),
        sa.Column("policy_version_id", sa.Integer(), nullable=True),
        sa.Column("revision_id", sa.BigInteger(), nullable=True),
        sa.Column("variant", sa.String(), nullable=True),
        sa.Column("trigger_key", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("provider_message_id", sa.String(), nullable=True),
        sa.Column("resend_approved_by", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("intended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("complained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'handing_over', 'accepted', 'refused_by_provider', 'in_doubt', 'unconfirmed', 'withheld', 'cancelled', 'expired', 'render_failed', 'closed')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("campaign_id", "customer_id", name=op.f("uq_deliveries_campaign_id_customer_id")),
        sa.UniqueConstraint("customer_id", "trigger_key", name=op.f("uq_deliveries_customer_id_trigger_key")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("ix_deliveries_id", "deliveries", ["id"], unique=False)
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", "customer_id", name=op.f("pk_delivery_attempts")),
    )
    op.create_index(
        "ix_delivery_attempts_customer_id", "delivery_attempts", ["customer_id", "delivery_id"], unique=False
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("root_key_fingerprint", sa.String(), nullable=True),
        sa.Column("hold", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("hold_reason", sa.String(), nullable=True),
        sa.Column("hold_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "ledger_digests",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("chains", sa.BigInteger(), nullable=False),
        sa.Column("chains_digest", sa.LargeBinary(), nullable=False),
        sa.Column("suppressions", sa.BigInteger(), nullable=False),
        sa.Column("suppressions_digest", sa.LargeBinary(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_ledger_digests")),
    )
    op.create_table(
        "open_handovers",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_open_handovers")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("ix_open_handovers_deadline", "open_handovers", ["deadline"], unique=False)
    op.create_table(
        "operators",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("fs_uniquifier", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_ip", sa.String(), nullable=True),
        sa.Column("current_login_ip", sa.String(), nullable=True),
        sa.Column("login_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tf_primary_method", sa.String(), nullable=True),
        sa.Column("tf_totp_secret", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.UniqueConstraint("email", name=op.f("uq_operators_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_operators_fs_uniquifier")),
    )
    op.create_table(
        "order_lines",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount_paise", sa.BigInteger(), nullable=False),
        sa.Column("discount_paise", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "order_id", "line", name=op.f("pk_order_lines")),
    )
    op.create_index(
        "ix_order_lines_product_id", "order_lines", ["product_id", "customer_id", "placed_at"], unique=False
    )
    op.create_table(
        "policy_versions",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "published_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_versions")),
        sa.UniqueConstraint("label", name=op.f("uq_policy_versions_label")),
    )
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("external_ref", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("department", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("brand", sa.String(), nullable=True),
        sa.Column("price_paise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("external_ref", name=op.f("uq_products_external_ref")),
    )
    op.create_index("ix_products_brand", "products", ["brand"], unique=False)
    op.create_index("ix_products_category", "products", ["category"], unique=False)
    op.create_table(
        "purchase_facets",
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("amount_paise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "value", "customer_id", name=op.f("pk_purchase_facets")),
    )
    op.create_index("ix_purchase_facets_customer_id", "purchase_facets", ["customer_id"], unique=False)
    op.create_table(
        "purposes",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_purposes")),
        sa.UniqueConstraint("name", name=op.f("uq_purposes_name")),
    )
    op.create_table(
        "rate_counts",
        sa.Column("bucket", sa.LargeBinary(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "window_start", name=op.f("pk_rate_counts")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("ix_rate_counts_window_start", "rate_counts", ["window_start"], unique=False)
    op.create_table(
        "revisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("language", sa.String(), server_default="en", nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("preheader", sa.String(), nullable=False),
        sa.Column("mjml", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("compiled_html", sa.String(), nullable=False),
        sa.Column("compiled_text", sa.String(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revisions")),
        sa.UniqueConstraint("campaign_id", "number", name=op.f("uq_revisions_campaign_id_number")),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("name", name=op.f("uq_roles_name")),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("name", name=op.f("uq_segments_name")),
    )
    op.create_table(
        "senders",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("from_name", sa.String(), nullable=False),
        sa.Column("from_address", sa.String(), nullable=False),
        sa.Column("reply_to", sa.String(), nullable=True),
        sa.Column("legal_name", sa.String(), nullable=False),
        sa.Column("postal_address", sa.String(), nullable=False),
        sa.Column("care_phone", sa.String(), nullable=False),
        sa.Column("care_email", sa.String(), nullable=False),
        sa.Column("officer", sa.String(), nullable=False),
        sa.Column("list_domain", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_senders")),
        sa.UniqueConstraint("name", name=op.f("uq_senders_name")),
    )
    op.create_table(
        "stop_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("address_hash", sa.LargeBinary(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("event_id_seen", sa.BigInteger(), nullable=False),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("folded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "customer_id IS NOT NULL OR address_hash IS NOT NULL", name=op.f("ck_stop_requests_of_somebody")
        ),
        sa.CheckConstraint("scope ~ '^[a-z_]{1,40}$'", name=op.f("ck_stop_requests_scope")),
        sa.CheckConstraint("source ~ '^[a-z_]{1,40}$'", name=op.f("ck_stop_requests_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stop_requests")),
    )
    op.create_index(
        "ix_stop_requests_open_address",
        "stop_requests",
        ["address_hash"],
        unique=False,
        postgresql_where=sa.text("folded_at IS NULL"),
    )
    op.create_index(
        "ix_stop_requests_open_customer",
        "stop_requests",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("folded_at IS NULL"),
    )
    op.create_table(
        "suppression_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_events")),
    )
    op.create_table(
        "suppressions",
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("key_id", sa.Integer(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("reason ~ '^[a-z_]{1,40}$'", name=op.f("ck_suppressions_reason")),
        sa.PrimaryKeyConstraint("address_hash", "scope", "key_id", name=op.f("pk_suppressions")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "wishlist_facets",
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("last_added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "value", "customer_id", name=op.f("pk_wishlist_facets")),
    )
    op.create_index("ix_wishlist_facets_customer_id", "wishlist_facets", ["customer_id"], unique=False)
    op.create_table(
        "addresses",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_addresses_customer_id_customers")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_addresses")),
    )
    op.create_index("ix_addresses_address_hash", "addresses", ["address_hash"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="draft", nullable=False),
        sa.Column("rule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=True),
        sa.Column("sender_id", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=True),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_hash", sa.LargeBinary(), nullable=True),
        sa.Column("approved_audience", sa.Integer(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('festive', 'launch', 'offer', 'service')", name=op.f("ck_campaigns_kind")),
        sa.CheckConstraint(
            "state IN ('draft', 'waiting', 'approved', 'sending', 'paused', 'sent', 'cancelled')",
            name=op.f("ck_campaigns_state"),
        ),
        sa.CheckConstraint("purpose = kind", name=op.f("ck_campaigns_purpose_of_kind")),
        sa.ForeignKeyConstraint(["author_id"], ["operators.id"], name=op.f("fk_campaigns_author_id_operators")),
        sa.ForeignKeyConstraint(["purpose"], ["purposes.key"], name=op.f("fk_campaigns_purpose_purposes")),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"], name=op.f("fk_campaigns_segment_id_segments")),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_campaigns_sender_id_senders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "customer_limits",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("pause_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("min_gap_days", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_limits_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_limits")),
    )
    op.create_table(
        "mandates",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("message_class", sa.String(), server_default="marketing", nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=False),
        sa.Column("sender_id", sa.Integer(), nullable=False),
        sa.Column("approved_hash", sa.LargeBinary(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expanded", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("rate_per_second", sa.Double(), nullable=True),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cap_messages", sa.Integer(), nullable=True),
        sa.Column("cap_days", sa.Integer(), nullable=True),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audience_sentence", sa.String(), nullable=True),
        sa.CheckConstraint("message_class IN ('marketing', 'notice')", name=op.f("ck_mandates_message_class")),
        sa.CheckConstraint(
            "state IN ('approved', 'sending', 'paused', 'cancelled', 'finished')", name=op.f("ck_mandates_state")
        ),
        sa.ForeignKeyConstraint(["purpose"], ["purposes.key"], name=op.f("fk_mandates_purpose_purposes")),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name=op.f("fk_mandates_revision_id_revisions")),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_mandates_sender_id_senders")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_mandates")),
    )
    op.create_table(
        "operator_acts",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"], name=op.f("fk_operator_acts_operator_id_operators")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_operator_acts")),
    )
    op.create_table(
        "operators_roles",
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.id"], name=op.f("fk_operators_roles_operator_id_operators"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_operators_roles_role_id_roles"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("operator_id", "role_id", name=op.f("pk_operators_roles")),
    )
    op.create_table(
        "orders",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("external_ref", sa.String(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total_paise", sa.BigInteger(), nullable=False),
        sa.Column("store", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_orders_customer_id_customers")),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_orders")),
    )
    op.create_index("ix_orders_external_ref", "orders", ["external_ref"], unique=False)
    op.create_table(
        "policy_changes",
        sa.Column("policy_version_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version_id"],
            ["policy_versions.id"],
            name=op.f("fk_policy_changes_policy_version_id_policy_versions"),
        ),
        sa.ForeignKeyConstraint(["purpose"], ["purposes.key"], name=op.f("fk_policy_changes_purpose_purposes")),
        sa.PrimaryKeyConstraint("policy_version_id", "purpose", name=op.f("pk_policy_changes")),
    )
    op.create_table(
        "wishlist_items",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_wishlist_items_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("customer_id", "product_id", name=op.f("pk_wishlist_items")),
    )
    op.create_index("ix_wishlist_items_product_id", "wishlist_items", ["product_id", "customer_id"], unique=False)
    op.create_table(
        "wordings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("policy_version_id", sa.Integer(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_wordings_policy_version_id_policy_versions")
        ),
        sa.ForeignKeyConstraint(["purpose"], ["purposes.key"], name=op.f("fk_wordings_purpose_purposes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wordings")),
        sa.UniqueConstraint(
            "purpose",
            "policy_version_id",
            "locale",
            "words",
            name=op.f("uq_wordings_purpose_policy_version_id_locale_words"),
        ),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("approver_id", sa.BigInteger(), nullable=False),
        sa.Column("approved_hash", sa.LargeBinary(), nullable=False),
        sa.Column("audience", sa.Integer(), nullable=False),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("approver_id <> author_id", name=op.f("ck_approvals_two_people")),
        sa.ForeignKeyConstraint(["approver_id"], ["operators.id"], name=op.f("fk_approvals_approver_id_operators")),
        sa.ForeignKeyConstraint(["author_id"], ["operators.id"], name=op.f("fk_approvals_author_id_operators")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_approvals_campaign_id_campaigns")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("campaign_id", "approved_hash", name=op.f("uq_approvals_campaign_id_approved_hash")),
    )
    op.create_table(
        "campaign_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_events_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.id"], name=op.f("fk_campaign_events_operator_id_operators")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_events")),
    )
    op.create_index("ix_campaign_events_campaign_id", "campaign_events", ["campaign_id", "id"], unique=False)
    op.create_table(
        "consent_events",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("channel", sa.String(), server_default="email", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("policy_version_id", sa.Integer(), nullable=True),
        sa.Column("wording_id", sa.BigInteger(), nullable=True),
        sa.Column("wording_digest", sa.LargeBinary(), nullable=True),
        sa.Column("evidence_digest", sa.LargeBinary(), nullable=True),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(action = 'withdraw_all') = (purpose IS NULL)", name=op.f("ck_consent_events_purpose")),
        sa.CheckConstraint(
            "action <> 'grant' OR (policy_version_id IS NOT NULL AND wording_id IS NOT NULL)",
            name=op.f("ck_consent_events_grant_has_proof"),
        ),
        sa.CheckConstraint("action IN ('grant', 'withdraw', 'withdraw_all')", name=op.f("ck_consent_events_action")),
        sa.CheckConstraint("channel = 'email'", name=op.f("ck_consent_events_channel")),
        sa.CheckConstraint("source ~ '^[a-z_]{1,40}$'", name=op.f("ck_consent_events_source")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_consent_events_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["policy_version_id"],
            ["policy_versions.id"],
            name=op.f("fk_consent_events_policy_version_id_policy_versions"),
        ),
        sa.ForeignKeyConstraint(["purpose"], ["purposes.key"], name=op.f("fk_consent_events_purpose_purposes")),
        sa.ForeignKeyConstraint(["wording_id"], ["wordings.id"], name=op.f("fk_consent_events_wording_id_wordings")),
        sa.PrimaryKeyConstraint("customer_id", "seq", name=op.f("pk_consent_events")),
    )
    op.create_table(
        "expansion_cursors",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("after_customer_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("matched", sa.Integer(), server_default="0", nullable=False),
        sa.Column("inserted", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_expansion_cursors_campaign_id_campaigns")
        ),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_expansion_cursors")),
    )
    functions = Path(__file__).parent.parent / "sql" / "0001_functions.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
