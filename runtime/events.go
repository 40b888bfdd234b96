package lockspire

import "time"

// Event is one audit record. Names are stable, dotted and past tense:
//
//   - consent.approved, consent.remembered (a code without a page),
//     consent.denied, consent.aborted (a form that was tampered with);
//   - code.redeemed, code.refused (an attempt without proof), code.replayed;
//   - refresh.rotated, refresh.refused (another client's token),
//     refresh.reused, refresh.revoked, access_token.revoked,
//     revocation.refused;
//   - client_token.issued (a token of the client credentials grant);
//   - session.ended, session.renewed, subject.revoked, subject.erased (whose
//     Subject is the name that stands in the audit log instead);
//   - grant.revoked, client.created, client.disabled,
//     client.secret_rotated;
//   - key.created, key.rotation_requested, key.rotated (another key signs),
//     key.revoked.
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
