package dbtest

import (
	"strings"
	"testing"
)

// faultCounts tells two states of the rows apart. What a flow changes, it
// changes one of these.
var faultCounts = []string{
	"SELECT COUNT(*) FROM lockspire_interactions",
	"SELECT COUNT(*) FROM lockspire_interactions WHERE state = 'pending'",
	"SELECT COUNT(*) FROM lockspire_interactions WHERE decision_salt IS NOT NULL",
	"SELECT COALESCE(SUM(bounces), 0) FROM lockspire_interactions",
	"SELECT COUNT(DISTINCT session_hash) FROM lockspire_interactions",
	"SELECT COUNT(*) FROM lockspire_codes",
	"SELECT COUNT(*) FROM lockspire_codes WHERE redeemed_at IS NOT NULL",
	"SELECT COALESCE(SUM(failures), 0) FROM lockspire_codes",
	"SELECT COUNT(*) FROM lockspire_families",
	"SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_families WHERE session_hash IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_refresh_tokens",
	"SELECT COUNT(*) FROM lockspire_refresh_tokens WHERE rotated_at IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_access_tokens",
	"SELECT COUNT(*) FROM lockspire_revoked_tokens",
	"SELECT COUNT(*) FROM lockspire_grants",
	"SELECT COUNT(*) FROM lockspire_grants WHERE revoked_at IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_clients",
	"SELECT COUNT(*) FROM lockspire_clients WHERE disabled_at IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_client_secrets",
	"SELECT COUNT(*) FROM lockspire_client_secrets WHERE expires_at IS NOT NULL",
	"SELECT COUNT(*) FROM lockspire_keys",
	"SELECT COUNT(*) FROM lockspire_keys WHERE state = 'retiring'",
	"SELECT COUNT(*) FROM lockspire_audit",
}

// faultBroken finds rows that no sequence of whole transactions leaves.
var faultBroken = map[string]string{
	"a code without its family": `SELECT COUNT(*) FROM lockspire_codes c
		WHERE NOT EXISTS (SELECT 1 FROM lockspire_families f WHERE f.id = c.family_id)`,
	"a family without its code": `SELECT COUNT(*) FROM lockspire_families f
		WHERE NOT EXISTS (SELECT 1 FROM lockspire_codes c WHERE c.family_id = f.id)`,
	"a family without the audit row of its approval": `SELECT COUNT(*) FROM lockspire_families f
		WHERE NOT EXISTS (SELECT 1 FROM lockspire_audit a WHERE a.family_id = f.id AND a.name IN ('consent.approved', 'consent.remembered'))`,
	"an approval on record without its family": `SELECT COUNT(*) FROM lockspire_audit a
		WHERE a.name IN ('consent.approved', 'consent.remembered') AND a.subject NOT LIKE 'erased%'
			AND NOT EXISTS (SELECT 1 FROM lockspire_families f WHERE f.id = a.family_id)`,
	"a refresh token before its code was redeemed": `SELECT COUNT(*) FROM lockspire_refresh_tokens r
		JOIN lockspire_codes c ON c.family_id = r.family_id WHERE c.redeemed_at IS NULL`,
	"a code that was redeemed without its refresh token": `SELECT COUNT(*) FROM lockspire_codes c
		JOIN lockspire_families f ON f.id = c.family_id
		WHERE c.redeemed_at IS NOT NULL AND f.scopes LIKE '%offline_access%'
			AND NOT EXISTS (SELECT 1 FROM lockspire_refresh_tokens r WHERE r.family_id = f.id AND r.parent_id IS NULL)`,
	"a family with two first refresh tokens": `SELECT COUNT(*) FROM (SELECT family_id FROM lockspire_refresh_tokens
		WHERE parent_id IS NULL GROUP BY family_id HAVING COUNT(*) > 1) x`,
	"a rotated token without its successor": `SELECT COUNT(*) FROM lockspire_refresh_tokens r
		WHERE r.rotated_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lockspire_refresh_tokens s WHERE s.parent_id = r.id)`,
	"a successor of a token that was not rotated": `SELECT COUNT(*) FROM lockspire_refresh_tokens s
		WHERE s.parent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lockspire_refresh_tokens r WHERE r.id = s.parent_id AND r.rotated_at IS NOT NULL)`,
	"a live family under a grant that was revoked": `SELECT COUNT(*) FROM lockspire_families f
		JOIN lockspire_grants g ON g.id = f.grant_id WHERE g.revoked_at IS NOT NULL AND f.revoked_at IS NULL`,
	"a live grant of a client that was disabled": `SELECT COUNT(*) FROM lockspire_grants g
		JOIN lockspire_clients c ON c.id = g.client_id WHERE c.disabled_at IS NOT NULL AND g.revoked_at IS NULL`,
	"a client without its secret": `SELECT COUNT(*) FROM lockspire_clients c WHERE c.token_endpoint_auth_method <> 'none'
		AND NOT EXISTS (SELECT 1 FROM lockspire_client_secrets s WHERE s.client_id = c.id AND s.expires_at IS NULL)`,
	"an algorithm without its one active key": `SELECT 2 - COUNT(*) FROM lockspire_keys WHERE state = 'active'`,
}

// faultRecorded are changes, and the audit rows that there have to be as many
// of.
var faultRecorded = map[string][2]string{
	"redemptions":   {"lockspire_codes WHERE redeemed_at IS NOT NULL", "'code.redeemed'"},
	"rotations":     {"lockspire_refresh_tokens WHERE rotated_at IS NOT NULL", "'refresh.rotated'"},
	"revocations":   {"lockspire_families WHERE reason = 'token_revoked'", "'refresh.revoked'"},
	"reuses":        {"lockspire_families WHERE reason = 'refresh_reused'", "'refresh.reused'"},
	"access tokens": {"lockspire_revoked_tokens", "'access_token.revoked'"},
	"clients":       {"lockspire_clients", "'client.created'"},
	"disabled":      {"lockspire_clients WHERE disabled_at IS NOT NULL", "'client.disabled'"},
	"retired keys":  {"lockspire_keys WHERE state = 'retiring'", "'key.rotated'"},
}

// rows is a fingerprint of all rows.
func (r *faultRig) rows(t testing.TB) string {
	t.Helper()
	var parts []string
	for _, query := range faultCounts {
		parts = append(parts, "CAST(("+query+") AS TEXT)")
	}
	var state string
	if err := r.db.QueryRowContext(t.Context(), "SELECT "+strings.Join(parts, " || ',' || ")).Scan(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

// invariants fails where something was half issued.
func (r *faultRig) invariants(t *testing.T, name string) {
	t.Helper()
	for flaw, query := range faultBroken {
		if n := count(t, r.db, query); n != 0 {
			r.tally.lost++
			t.Errorf("seed %d: after %s: %s (%d)", r.seed, name, flaw, n)
		}
	}
	for change, pair := range faultRecorded {
		query := "SELECT (SELECT COUNT(*) FROM " + pair[0] + ") - (SELECT COUNT(*) FROM lockspire_audit a WHERE a.name = " + pair[1] + " AND COALESCE(a.subject, '') NOT LIKE 'erased%')"
		if n := count(t, r.db, query); n != 0 {
			r.tally.lost++
			t.Errorf("seed %d: after %s: %s and their audit rows differ by %d", r.seed, name, change, n)
		}
	}
}
