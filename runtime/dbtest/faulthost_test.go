package dbtest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// faultCalls are what a host, a tool or an operator calls.
var faultCalls = []faultFlow{
	{"apps page", func(r *faultRig) faultStep {
		b, user := r.newBrowser(), r.user()
		r.partner.consentTo(b, user)
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Contains(a.body, "grant_id") },
			act: func() faultAnswer { return r.page(b.get(r.issuer + "/apps")) }}
	}},
	{"withdraw on the apps page", func(r *faultRig) faultStep {
		b, user := r.newBrowser(), r.user()
		got := r.partner.redeem(r.partner.consentTo(b, user, "scope", faultScope))
		shown := b.get(r.issuer + "/apps").body
		form := url.Values{"decision": {"revoke"}}
		for _, name := range []string{"decision_token", "grant_id"} {
			form.Set(name, between(shown, `name="`+name+`" value="`, `"`))
		}
		return faultStep{changes: true, good: leads("/apps?"), works: func(faultAnswer) string { return r.dead(got) },
			act: func() faultAnswer {
				return r.page(b.do("POST", r.issuer+"/apps", form, "Sec-Fetch-Site", "same-origin"))
			}}
	}},
	{"RevokeGrant", func(r *faultRig) faultStep {
		user, got := r.issue()
		grants, err := r.provider.Grants(r.t.Context(), user)
		if err != nil || len(grants) != 1 {
			r.t.Fatalf("%d grants, %v", len(grants), err)
		}
		return r.ends(got, false, func() error { return r.provider.RevokeGrant(r.t.Context(), user, grants[0].ID) })
	}},
	{"Grants", func(r *faultRig) faultStep {
		user, _ := r.issue()
		return faultStep{good: isDone, act: func() faultAnswer {
			grants, err := r.provider.Grants(r.t.Context(), user)
			if err == nil && len(grants) != 1 {
				return faultAnswer{status: len(grants)}
			}
			return faultAnswer{err: err}
		}}
	}},
	{"SessionEnded", func(r *faultRig) faultStep {
		user := r.user()
		got := r.partner.redeem(r.partner.consentTo(r.newBrowser(), user, "scope", "openid notes:read"))
		step := r.ends(got, false, func() error { return r.provider.SessionEnded(r.t.Context(), sessionOf(user)) })
		step.works = func(faultAnswer) string {
			if r.api(got.Access) != http.StatusUnauthorized {
				return "the access token lives on"
			}
			return ""
		}
		return step
	}},
	{"SessionRenewed", func(r *faultRig) faultStep {
		user := r.user()
		got := r.partner.redeem(r.partner.consentTo(r.newBrowser(), user, "scope", "openid notes:read"))
		other := r.newBrowser()
		r.partner.consentPage(other, user, "prompt", "consent")
		return faultStep{changes: true, good: isDone,
			act: func() faultAnswer {
				return faultAnswer{err: r.provider.SessionRenewed(r.t.Context(), sessionOf(user), user+"-renewed")}
			},
			works: func(faultAnswer) string {
				if err := r.provider.SessionEnded(r.t.Context(), user+"-renewed"); err != nil || r.api(got.Access) != http.StatusUnauthorized {
					return "the tokens do not hang on the new session"
				}
				return ""
			}}
	}},
	{"RevokeSubject", func(r *faultRig) faultStep {
		user, got := r.issue()
		return r.ends(got, false, func() error { return r.provider.RevokeSubject(r.t.Context(), user, "fault") })
	}},
	{"EraseSubject", func(r *faultRig) faultStep {
		user, got := r.issue()
		step := r.ends(got, true, func() error { return r.provider.EraseSubject(r.t.Context(), user) })
		dead := step.works
		step.works = func(a faultAnswer) string {
			if flaw := dead(a); flaw != "" {
				return flaw
			}
			if n := count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_audit WHERE subject = $1", user) +
				count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_families WHERE subject = $1", user) +
				count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_grants WHERE subject = $1", user); n != 0 {
				return "rows name the person still"
			}
			return ""
		}
		return step
	}},
	{"create a client", func(r *faultRig) faultStep {
		return faultStep{changes: true, good: isDone, act: func() faultAnswer {
			_, _, err := r.provider.Clients().Create(r.t.Context(), lockspire.NewClient{Name: "New", RedirectURIs: []string{"https://new.example/cb"}})
			return faultAnswer{err: err}
		}}
	}},
	{"rotate a client's secret", func(r *faultRig) faultStep {
		other := r.newApp()
		var secret string
		return faultStep{changes: true, good: isDone,
			act: func() (a faultAnswer) {
				secret, a.err = r.provider.Clients().RotateSecret(r.t.Context(), other.ID, time.Hour)
				return a
			},
			works: func(faultAnswer) string {
				for _, known := range []string{secret, other.secret} {
					rotated := *other
					rotated.secret = known
					if got := rotated.token("grant_type", "refresh_token", "refresh_token", "x"); got.Error != "invalid_grant" {
						return "a secret is refused: " + got.raw
					}
				}
				return ""
			}}
	}},
	{"disable a client", func(r *faultRig) faultStep {
		other := r.newApp()
		got := other.redeem(other.consentTo(r.newBrowser(), r.user(), "scope", faultScope))
		return faultStep{changes: true, good: isDone,
			act: func() faultAnswer { return faultAnswer{err: r.provider.Clients().Disable(r.t.Context(), other.ID)} },
			works: func(faultAnswer) string {
				if r.api(got.Access) != http.StatusUnauthorized || other.refresh(got.Refresh).Error != "invalid_client" {
					return "its tokens live on"
				}
				return ""
			}}
	}},
}

// faultKeys are what becomes of the signing keys. Each makes an RSA key.
var faultKeys = []faultFlow{
	{"rotate the keys", func(r *faultRig) faultStep {
		return r.keysChange(func() error {
			_, err := r.provider.Keys().RotateNow(r.t.Context())
			return err
		})
	}},
	{"revoke a key", func(r *faultRig) faultStep {
		runUntil(r.t.(*testing.T), r.provider, "a next ES256 key", func() bool { return len(r.host.keys("ES256", lockspire.KeyNext)) == 1 })
		kid := r.key("ES256", lockspire.KeyActive)
		step := r.keysChange(func() error {
			_, err := r.provider.Keys().Revoke(r.t.Context(), kid)
			return err
		})
		step.late = func(a faultAnswer) bool { return a.err != nil && strings.Contains(a.err.Error(), "not found") }
		return step
	}},
}

func (r *faultRig) keysChange(change func() error) faultStep {
	return faultStep{changes: true, many: true, good: isDone,
		act: func() faultAnswer { return faultAnswer{err: change()} },
		works: func(faultAnswer) string {
			got := r.job.ownToken("scope", "notes:read")
			if got.status != http.StatusOK {
				return "no token afterwards: " + got.raw
			}
			if kidOf(r.t, got.Access) != r.key("ES256", lockspire.KeyActive) {
				return "another key signs than the active one"
			}
			return r.tokensWork(r.answered(got))
		}}
}

func isDone(a faultAnswer) bool { return a.status == 0 && a.err == nil }

// ends is a call that ends what got stands for.
func (r *faultRig) ends(got tokens, many bool, call func() error) faultStep {
	return faultStep{changes: true, many: many, good: isDone,
		act:   func() faultAnswer { return faultAnswer{err: call()} },
		works: func(faultAnswer) string { return r.dead(got) }}
}
