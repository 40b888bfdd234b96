package dbtest

import (
	"database/sql"
	"strconv"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const (
	planSmall = 1_000
	planLarge = 100_000
	// planExpired is how many of the rows that are added each time are over,
	// for the sweep: more than one batch.
	planExpired = 700
)

// planTables are the rows from {lo} to {hi} of each table: every one has its
// own subject, and every second belongs to one popular client. {now} is the
// time and {end} when the row expires, in microseconds; {bytes} are 32 bytes.
var planTables = []struct{ table, columns, values string }{
	{"clients", "id, name, token_endpoint_auth_method, redirect_uris, grant_types, scopes, resources, id_token_signed_response_alg, trusted, metadata, created_at, updated_at",
		"'c-'||i, 'Client', 'client_secret_basic', '[]', '[]', '[]', '[]', 'RS256', 0, '{}', {now}, {now}"},
	{"client_secrets", "id, client_id, hash, created_at", "'s-'||i, 'c-'||i, {bytes}, {now}"},
	// Retired keys that are over and wait for the sweep.
	{"keys", "kid, alg, state, public_jwk, sealed, secret_id, created_at, activated_at, expires_at",
		"'k-'||i, 'ES256', 'retiring', '{}', {bytes}, 'x', {now}, {now}, CASE WHEN {end} < {now} THEN {end} ELSE {now} - 1000000 END"},
	{"grants", "id, client_id, subject, scopes, resources, consents, created_at, last_used_at, revoked_at, expires_at",
		"'g-'||i, {client}, 'u-'||i, '[]', '[]', '[]', {now}, {now}, CASE WHEN i % 4 = 0 OR {end} < {now} THEN {now} END, CASE WHEN i % 4 = 0 OR {end} < {now} THEN {end} END"},
	{"interactions", "id_hash, client_id, browser_hash, request, state, subject, session_hash, secret_id, decision_until, created_at, expires_at",
		"{bytes}, {client}, {bytes}, '{}', 'pending', 'u-'||i, {bytes}, 'x', {now}, {now}, {end}"},
	{"families", "id, grant_id, client_id, subject, sid, session_hash, secret_id, scopes, resources, created_at, expires_at",
		"'f-'||i, 'g-'||i, {client}, 'u-'||i, 'sid-'||i, {bytes}, 'x', '[]', '[]', {now}, {end}"},
	{"codes", "hash, family_id, client_id, redirect_uri, code_challenge, created_at, valid_until, redeemed_at, expires_at",
		"{bytes}, 'f-'||i, {client}, 'x', 'x', {now}, {now}, {now}, {end}"},
	{"refresh_tokens", "id, hash, family_id, client_id, parent_id, secret_id, created_at, valid_until, rotated_at, expires_at",
		"'r-'||i, {bytes}, 'f-'||i, {client}, 'r-'||(i - 1), 'x', {now}, {end}, {now} - 86400000000, {end}"},
	{"access_tokens", "hash, family_id, client_id, scopes, audience, created_at, expires_at",
		"{bytes}, 'f-'||i, {client}, '[]', '[]', {now}, {end}"},
	{"revoked_tokens", "jti, expires_at", "'j-'||i, {end}"},
	{"audit", "id, at, name, client_id, subject, grant_id, family_id, detail", "'a-'||i, {now}, 'x', {client}, 'u-'||i, 'g-'||i, 'f-'||i, '{}'"},
}

// fillTables adds rows up to n to every table, beside what the runtime put there.
func fillTables(t testing.TB, db *sql.DB, engine lockspire.Dialect, popular string, now time.Time, have, n int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	year := 365 * 24 * time.Hour
	number := func(at time.Time) string { return planNumber(at.UnixMicro()) }
	words := []string{
		"{end}", "CASE WHEN i <= {expired} THEN " + number(now.Add(-time.Hour)) + " ELSE " + number(now.Add(year)) + " + i END",
		"{client}", "CASE WHEN i % 2 = 0 THEN '" + popular + "' ELSE 'c-'||i END",
	}
	more := []string{"{expired}", planNumber(int64(have + planExpired)), "{now}", number(now), "{lo}", planNumber(int64(have + 1)), "{hi}", planNumber(int64(n))}
	series, bytes, analyze := "FROM generate_series({lo}, {hi}) AS i", "sha256(('x'||i)::bytea)", "VACUUM ANALYZE"
	// Foreign keys are not checked while the rows go in, for the time it takes.
	before, after := []string{"SET session_replication_role = replica"}, []string{"SET session_replication_role = origin"}
	if engine == lockspire.SQLite {
		series, bytes, analyze = "FROM planned_rows WHERE i BETWEEN {lo} AND {hi}", "randomblob(32)", "ANALYZE"
		before = []string{"PRAGMA foreign_keys = 0", "PRAGMA synchronous = 0", "BEGIN IMMEDIATE",
			"CREATE TEMP TABLE IF NOT EXISTS planned_rows (i INTEGER PRIMARY KEY)",
			"INSERT OR IGNORE INTO planned_rows WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + planNumber(int64(n)) + ") SELECT i FROM n"}
		after = []string{"COMMIT", "PRAGMA foreign_keys = 1", "PRAGMA synchronous = 2"}
	}
	run(before...)
	for _, table := range planTables {
		statement := "INSERT INTO lockspire_" + table.table + " (" + table.columns + ") SELECT " + table.values + " " + series
		statement = strings.NewReplacer(append(words, "{bytes}", bytes)...).Replace(statement)
		run(strings.NewReplacer(more...).Replace(statement))
	}
	run(append(after, analyze)...)
}

func planNumber(n int64) string { return strconv.FormatInt(n, 10) }
