-- migrate:up
-- Lockspire schema 1: clients, keys, interactions, grants, codes, tokens, audit.
-- Times are microseconds since the Unix epoch, UTC. Lists and objects are JSON
-- text. Everything secret is a SHA-256 hash or sealed with AES-256-GCM.
CREATE TABLE lockspire_meta (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    version     INTEGER NOT NULL,
    min_runtime INTEGER NOT NULL,
    issuer      TEXT
);

CREATE TABLE lockspire_clients (
    id                           TEXT PRIMARY KEY,
    name                         TEXT NOT NULL,
    token_endpoint_auth_method   TEXT NOT NULL,
    redirect_uris                TEXT NOT NULL,
    grant_types                  TEXT NOT NULL,
    scopes                       TEXT NOT NULL,
    resources                    TEXT NOT NULL,
    id_token_signed_response_alg TEXT NOT NULL,
    trusted                      INTEGER NOT NULL,
    metadata                     TEXT NOT NULL,
    created_at                   BIGINT NOT NULL,
    updated_at                   BIGINT NOT NULL,
    disabled_at                  BIGINT
);

CREATE TABLE lockspire_client_secrets (
    id         TEXT PRIMARY KEY,
    client_id  TEXT NOT NULL REFERENCES lockspire_clients (id) ON DELETE CASCADE,
    hash       BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX lockspire_client_secrets_client_id ON lockspire_client_secrets (client_id);

CREATE TABLE lockspire_keys (
    kid          TEXT PRIMARY KEY,
    alg          TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring')),
    public_jwk   TEXT NOT NULL,
    sealed       BYTEA NOT NULL,
    secret_id    TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    activated_at BIGINT,
    expires_at   BIGINT
);
CREATE UNIQUE INDEX lockspire_keys_one_each ON lockspire_keys (alg, state) WHERE state <> 'retiring';
CREATE INDEX lockspire_keys_expires_at ON lockspire_keys (expires_at);

CREATE TABLE lockspire_grants (
    id           TEXT PRIMARY KEY,
    client_id    TEXT NOT NULL REFERENCES lockspire_clients (id) ON DELETE CASCADE,
    subject      TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    resources    TEXT NOT NULL,
    consents     TEXT NOT NULL DEFAULT '[]',
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at   BIGINT,
    expires_at   BIGINT
);
CREATE UNIQUE INDEX lockspire_grants_one_live ON lockspire_grants (subject, client_id) WHERE revoked_at IS NULL;
CREATE INDEX lockspire_grants_subject ON lockspire_grants (subject);
CREATE INDEX lockspire_grants_client_id ON lockspire_grants (client_id);
CREATE INDEX lockspire_grants_expires_at ON lockspire_grants (expires_at);

CREATE TABLE lockspire_interactions (
    id_hash        BYTEA PRIMARY KEY,
    client_id      TEXT NOT NULL REFERENCES lockspire_clients (id) ON DELETE CASCADE,
    browser_hash   BYTEA NOT NULL,
    request        TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied')),
    subject        TEXT,
    session_hash   BYTEA,
    epoch          TEXT,
    grant_id       TEXT,
    secret_id      TEXT,
    decision_salt  BYTEA,
    decision_until BIGINT,
    bounces        INTEGER NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX lockspire_interactions_subject ON lockspire_interactions (subject);
CREATE INDEX lockspire_interactions_session_hash ON lockspire_interactions (session_hash);
CREATE INDEX lockspire_interactions_client_id ON lockspire_interactions (client_id);
CREATE INDEX lockspire_interactions_expires_at ON lockspire_interactions (expires_at);

CREATE TABLE lockspire_families (
    id             TEXT PRIMARY KEY,
    grant_id       TEXT NOT NULL REFERENCES lockspire_grants (id) ON DELETE CASCADE,
    client_id      TEXT NOT NULL,
    subject        TEXT NOT NULL,
    sid            TEXT,
    session_hash   BYTEA,
    secret_id      TEXT,
    epoch          TEXT,
    acr            TEXT,
    amr            TEXT,
    auth_time      BIGINT,
    nonce          TEXT,
    scopes         TEXT NOT NULL,
    resources      TEXT NOT NULL,
    resource_named INTEGER NOT NULL DEFAULT 0,
    claims         TEXT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    revoked_at     BIGINT,
    reason         TEXT
);
CREATE INDEX lockspire_families_grant_id ON lockspire_families (grant_id);
CREATE INDEX lockspire_families_subject ON lockspire_families (subject);
CREATE INDEX lockspire_families_session_hash ON lockspire_families (session_hash);
CREATE INDEX lockspire_families_expires_at ON lockspire_families (expires_at);

CREATE TABLE lockspire_codes (
    hash           BYTEA PRIMARY KEY,
    family_id      TEXT NOT NULL REFERENCES lockspire_families (id) ON DELETE CASCADE,
    client_id      TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    failures       INTEGER NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    valid_until    BIGINT NOT NULL,
    redeemed_at    BIGINT,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX lockspire_codes_family_id ON lockspire_codes (family_id);
CREATE INDEX lockspire_codes_expires_at ON lockspire_codes (expires_at);

CREATE TABLE lockspire_refresh_tokens (
    id          TEXT PRIMARY KEY,
    hash        BYTEA NOT NULL UNIQUE,
    family_id   TEXT NOT NULL REFERENCES lockspire_families (id) ON DELETE CASCADE,
    client_id   TEXT NOT NULL,
    parent_id   TEXT UNIQUE,
    salt        BYTEA,
    secret_id   TEXT,
    created_at  BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    rotated_at  BIGINT,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX lockspire_refresh_tokens_family_id ON lockspire_refresh_tokens (family_id);
CREATE INDEX lockspire_refresh_tokens_expires_at ON lockspire_refresh_tokens (expires_at);

CREATE TABLE lockspire_access_tokens (
    hash       BYTEA PRIMARY KEY,
    family_id  TEXT REFERENCES lockspire_families (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    audience   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX lockspire_access_tokens_family_id ON lockspire_access_tokens (family_id);
CREATE INDEX lockspire_access_tokens_expires_at ON lockspire_access_tokens (expires_at);

CREATE TABLE lockspire_revoked_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX lockspire_revoked_tokens_expires_at ON lockspire_revoked_tokens (expires_at);

CREATE TABLE lockspire_audit (
    id        TEXT PRIMARY KEY,
    at        BIGINT NOT NULL,
    name      TEXT NOT NULL,
    client_id TEXT,
    subject   TEXT,
    grant_id  TEXT,
    family_id TEXT,
    detail    TEXT NOT NULL
);
CREATE INDEX lockspire_audit_at ON lockspire_audit (at);
CREATE INDEX lockspire_audit_subject ON lockspire_audit (subject, at);
CREATE INDEX lockspire_audit_client_id ON lockspire_audit (client_id, at);

INSERT INTO lockspire_meta (id, version, min_runtime) VALUES (1, 1, 1);

-- migrate:down
-- Drops every Lockspire table: all clients, grants, tokens and keys are lost.
DROP TABLE lockspire_audit;
DROP TABLE lockspire_revoked_tokens;
DROP TABLE lockspire_access_tokens;
DROP TABLE lockspire_refresh_tokens;
DROP TABLE lockspire_codes;
DROP TABLE lockspire_families;
DROP TABLE lockspire_interactions;
DROP TABLE lockspire_grants;
DROP TABLE lockspire_keys;
DROP TABLE lockspire_client_secrets;
DROP TABLE lockspire_clients;
DROP TABLE lockspire_meta;
