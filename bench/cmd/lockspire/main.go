// Command lockspire is a host with the runtime in it, for the load generator:
// people and sessions are in memory, since they are the host's own.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/url"

	lockspire "github.com/lockspire/lockspire/runtime"

	"github.com/lockspire/lockspire/bench/internal/pool"
	"github.com/lockspire/lockspire/bench/internal/ready"
)

func main() {
	engine := flag.String("engine", string(lockspire.SQLite), "sqlite or postgres")
	dsn := flag.String("dsn", "", "a file, or a PostgreSQL URL")
	workload := flag.String("workload", "", "what will be asked")
	flag.Parse()
	if err := run(lockspire.Dialect(*engine), *dsn, *workload); err != nil {
		log.Fatal(err)
	}
}

func run(engine lockspire.Dialect, dsn, workload string) error {
	listener, err := ready.Listen()
	if err != nil {
		return err
	}
	db, err := pool.Open(engine, dsn)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := lockspire.Migrate(ctx, db, engine, ""); err != nil {
		return err
	}
	h, err := newHost(ctx, db, engine, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	go h.provider.Run(ctx)
	offered, err := h.workload(ctx, workload)
	if err != nil {
		return err
	}
	return ready.Serve(listener, h.mux, map[string]ready.Workload{workload: offered})
}

// host is the application around the provider.
type host struct {
	origin   string
	provider *lockspire.Provider
	mux      *http.ServeMux
	people   *people
}

func newHost(ctx context.Context, db *sql.DB, engine lockspire.Dialect, origin string) (*host, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	h := &host{origin: origin, mux: http.NewServeMux(), people: &people{}}
	var err error
	h.provider, err = lockspire.New(ctx, lockspire.Config{
		Issuer: origin + "/lockspire", DB: db, Dialect: engine, Accounts: h.people,
		Pages:   lockspire.Pages{Consent: h.people.consent, AuthorizedApps: func(http.ResponseWriter, *http.Request, lockspire.AuthorizedAppsPage) {}},
		Secrets: [][]byte{secret},
		Scopes:  []lockspire.Scope{{Name: "profile"}, {Name: "notes:read", Default: true}},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	h.mux.Handle("/lockspire/", h.provider)
	h.mux.Handle("/.well-known/", h.provider)
	h.mux.Handle("/api", h.provider.Protect(lockspire.RequireScope("notes:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := lockspire.TokenFrom(r.Context())
		fmt.Fprintf(w, "notes of %s", token.Subject)
	})))
	return h, nil
}

// basic is an Authorization header (RFC 6749 §2.3.1).
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// people are the host's accounts: whoever the session cookie names.
type people struct {
	// page is the consent page that was shown last.
	page lockspire.ConsentPage
}

func (p *people) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return lockspire.Account{Subject: cookie.Value, SessionID: "session-of-" + cookie.Value}, nil
}

func (p *people) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	return lockspire.Account{Subject: subject}, nil
}

func (p *people) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	return lockspire.Claims{}, nil
}

func (p *people) LoginURL(r *http.Request, i lockspire.Interaction) string {
	return i.AppendTo("/login")
}

func (p *people) consent(w http.ResponseWriter, r *http.Request, page lockspire.ConsentPage) {
	p.page = page
}
