package lockspire

import "time"

// Event is one audit record. Names are stable, dotted and past tense:
// "consent.approved", "code.redeemed", "code.replayed", "refresh.rotated",
// "refresh.reused", "grant.revoked", "client.created", "client.disabled".
type Event struct {
	ID       string
	At       time.Time
	Name     string
	ClientID string
	Subject  string
	GrantID  string
	// FamilyID names the tokens that descend from one authorization.
	FamilyID string
	// Detail holds a few short, non-secret facts.
	Detail map[string]string
}
