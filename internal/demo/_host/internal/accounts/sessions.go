package accounts

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

// ErrSignedOut says that the request carries no live session.
var ErrSignedOut = errors.New("accounts: nobody is signed in")

const (
	cookieName  = "fieldnotes_session"
	sessionLife = 12 * time.Hour
)

// Session is one signed-in browser. ID is the hash under which the session is
// stored; the cookie's value is kept nowhere.
type Session struct {
	ID         string
	SignedInAt time.Time
}

// SignIn starts a session for user in the browser behind w and r, and ends the
// one that was there.
func (s *Store) SignIn(w http.ResponseWriter, r *http.Request, user User) error {
	if err := s.end(r); err != nil {
		return err
	}
	secret, now := randomHex(32), time.Now()
	if _, err := s.db.ExecContext(r.Context(),
		`INSERT INTO sessions (id_hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)`,
		hashSession(secret), user.ID, now.Unix(), now.Add(sessionLife).Unix()); err != nil {
		return err
	}
	http.SetCookie(w, sessionCookie(r, secret, int(sessionLife.Seconds())))
	return nil
}

// SignOut ends the session of r, if there is one.
func (s *Store) SignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, sessionCookie(r, "", -1))
	return s.end(r)
}

// Current returns who is signed in on r, or ErrSignedOut.
func (s *Store) Current(r *http.Request) (User, Session, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return User{}, Session{}, ErrSignedOut
	}
	session := Session{ID: hashSession(cookie.Value)}
	var userID string
	var created int64
	err = s.db.QueryRowContext(r.Context(),
		`SELECT user_id, created_at FROM sessions WHERE id_hash = ? AND expires_at > ?`,
		session.ID, time.Now().Unix()).Scan(&userID, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, Session{}, ErrSignedOut
	}
	if err != nil {
		return User{}, Session{}, err
	}
	session.SignedInAt = time.Unix(created, 0)
	user, err := s.Get(r.Context(), userID)
	if errors.Is(err, ErrNoUser) {
		return User{}, Session{}, ErrSignedOut
	}
	return user, session, err
}

func (s *Store) end(r *http.Request) error {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	_, err = s.db.ExecContext(r.Context(), `DELETE FROM sessions WHERE id_hash = ?`, hashSession(cookie.Value))
	return err
}

func sessionCookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode}
}

func hashSession(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
