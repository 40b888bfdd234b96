// Package signin is the application's own sign-in: a password, then a code
// from an authenticator app.
package signin

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"example.com/sigra-host/scope"
)

const schema = `
CREATE TABLE IF NOT EXISTS users (
	id          TEXT PRIMARY KEY,
	email       TEXT NOT NULL UNIQUE COLLATE NOCASE,
	name        TEXT NOT NULL,
	salt        BLOB NOT NULL,
	password    BLOB NOT NULL,
	totp_secret BLOB NOT NULL,
	totp_used   INTEGER NOT NULL DEFAULT 0,
	disabled_at INTEGER
);
CREATE TABLE IF NOT EXISTS sessions (
	id_hash          TEXT PRIMARY KEY,
	user_id          TEXT NOT NULL REFERENCES users (id),
	second_factor_at INTEGER,
	expires_at       INTEGER NOT NULL
);
`

// ErrNoUser says that there is no such user, or that they are disabled.
var ErrNoUser = errors.New("signin: no such user")

// errRefused: a password or code was wrong.
var errRefused = errors.New("signin: refused")

// Store keeps users and sessions. It is safe for concurrent use.
type Store struct{ db *sql.DB }

// New returns the store on db.
func New(db *sql.DB) *Store { return &Store{db} }

// CreateTables makes the tables of the store where they are missing.
func (s *Store) CreateTables(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, schema)
	return err
}

// AddUser adds a user, or returns the one with that e-mail address as it is.
func (s *Store) AddUser(ctx context.Context, email, name, password string, totpSecret []byte) (scope.User, error) {
	salt := random(16)
	key, err := stretch(password, salt)
	if err != nil {
		return scope.User{}, err
	}
	user := scope.User{ID: "user_" + hex.EncodeToString(random(10)), Email: email, Name: name}
	_, err = s.db.ExecContext(ctx,
		`INSERT INTO users (id, email, name, salt, password, totp_secret) VALUES (?, ?, ?, ?, ?, ?)
		 ON CONFLICT (email) DO NOTHING`, user.ID, email, name, salt, key, totpSecret)
	if err != nil {
		return scope.User{}, err
	}
	err = s.db.QueryRowContext(ctx, `SELECT id, name FROM users WHERE email = ?`, email).Scan(&user.ID, &user.Name)
	return user, err
}

// User returns a live user or ErrNoUser.
func (s *Store) User(ctx context.Context, id string) (scope.User, error) {
	user := scope.User{ID: id}
	err := s.db.QueryRowContext(ctx,
		`SELECT email, name FROM users WHERE id = ? AND disabled_at IS NULL`, id).Scan(&user.Email, &user.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return scope.User{}, ErrNoUser
	}
	return user, err
}

// Scope returns who acts through r; it is what scope.Middleware loads with.
func (s *Store) Scope(r *http.Request) (scope.Scope, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return scope.Scope{}, nil
	}
	session := scope.Session{ID: hashed(cookie.Value), Methods: []string{"pwd", "otp"}}
	var userID string
	var second sql.NullInt64
	err = s.db.QueryRowContext(r.Context(),
		`SELECT user_id, second_factor_at FROM sessions WHERE id_hash = ? AND expires_at > ?`,
		session.ID, time.Now().Unix()).Scan(&userID, &second)
	if errors.Is(err, sql.ErrNoRows) {
		return scope.Scope{}, nil
	}
	if err != nil {
		return scope.Scope{}, err
	}
	user, err := s.User(r.Context(), userID)
	if errors.Is(err, ErrNoUser) {
		return scope.Scope{}, nil
	}
	if err != nil {
		return scope.Scope{}, err
	}
	if !second.Valid {
		return scope.Scope{SignInIncomplete: true}, nil
	}
	session.SignedInAt = time.Unix(second.Int64, 0)
	return scope.Scope{User: &user, Session: session}, nil
}

// checkPassword returns the id of the user, or errRefused. An unknown address
// takes as long as a wrong password.
func (s *Store) checkPassword(ctx context.Context, email, password string) (string, error) {
	var id string
	salt, want := make([]byte, 16), make([]byte, 32)
	err := s.db.QueryRowContext(ctx,
		`SELECT id, salt, password FROM users WHERE email = ? AND disabled_at IS NULL`, email).Scan(&id, &salt, &want)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	key, err := stretch(password, salt)
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(key, want) != 1 || id == "" {
		return "", errRefused
	}
	return id, nil
}

// checkCode accepts each code of an authenticator once, or returns errRefused.
func (s *Store) checkCode(ctx context.Context, userID, code string, now time.Time) error {
	var secret []byte
	if err := s.db.QueryRowContext(ctx, `SELECT totp_secret FROM users WHERE id = ?`, userID).Scan(&secret); err != nil {
		return err
	}
	for _, at := range []time.Time{now, now.Add(-period), now.Add(period)} {
		if subtle.ConstantTimeCompare([]byte(Code(secret, at)), []byte(code)) != 1 {
			continue
		}
		result, err := s.db.ExecContext(ctx,
			`UPDATE users SET totp_used = ? WHERE id = ? AND totp_used < ?`, step(at), userID, step(at))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
	}
	return errRefused
}

func stretch(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, 600_000, 32)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
