package authserver

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// accountResolver reads the host's tables through the host's pool, which has
// one connection.
type accountResolver struct{ db *sql.DB }

func newAccountResolver(host Host) lockspire.AccountResolver { return &accountResolver{host.DB} }

func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	sum := sha256.Sum256([]byte(cookie.Value))
	session := hex.EncodeToString(sum[:])
	var id, created int64
	var name string
	err = a.db.QueryRowContext(r.Context(),
		`SELECT users.id, users.name, sessions.created_at FROM sessions JOIN users ON users.id = user_id WHERE id_hash = ?`,
		session).Scan(&id, &name, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	if err != nil {
		return lockspire.Account{}, err
	}
	return lockspire.Account{Subject: strconv.FormatInt(id, 10), DisplayName: name,
		SessionID: session, AuthTime: time.Unix(created, 0)}, nil
}

func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	_, err := a.name(ctx, subject)
	return lockspire.Account{Subject: subject}, err
}

func (a *accountResolver) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	name, err := a.name(ctx, account.Subject)
	if err != nil {
		return nil, err
	}
	if !request.Has("profile") {
		return lockspire.Claims{}, nil
	}
	return lockspire.Claims{"name": name}, nil
}

func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}

func (a *accountResolver) name(ctx context.Context, subject string) (string, error) {
	var name string
	err := a.db.QueryRowContext(ctx, `SELECT name FROM users WHERE id = ?`, subject).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", lockspire.ErrAccountGone
	}
	return name, err
}
