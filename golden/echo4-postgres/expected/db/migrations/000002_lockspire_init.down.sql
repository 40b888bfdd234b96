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
