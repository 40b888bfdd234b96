// Package accounts holds the people of the app: their passwords and sessions.
package accounts

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Schema creates the tables of this package where they are missing.
const Schema = `
CREATE TABLE IF NOT EXISTS users (
	id                  TEXT PRIMARY KEY,
	username            TEXT NOT NULL UNIQUE COLLATE NOCASE,
	name                TEXT NOT NULL,
	email               TEXT NOT NULL,
	password            TEXT NOT NULL,
	password_changed_at INTEGER NOT NULL,
	disabled_at         INTEGER
);
CREATE TABLE IF NOT EXISTS sessions (
	id_hash    TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
`

var (
	// ErrWrongPassword: no live user has that name and password.
	ErrWrongPassword = errors.New("accounts: wrong username or password")
	// ErrUsernameTaken: the username belongs to somebody else.
	ErrUsernameTaken = errors.New("accounts: username is taken")
	// ErrNoUser: there is no such user, or they are disabled.
	ErrNoUser = errors.New("accounts: no such user")
)

// User is a person with an account. ID never changes and is never reused.
type User struct {
	ID, Username, Name, Email string
	PasswordChangedAt         time.Time
}

// Store keeps users and sessions. It is safe for concurrent use.
type Store struct{ db *sql.DB }

// New returns the store on db, whose tables Schema made.
func New(db *sql.DB) *Store { return &Store{db} }

// Create adds a user or returns ErrUsernameTaken.
func (s *Store) Create(ctx context.Context, username, name, email, password string) (User, error) {
	hash, err := hashPassword(password)
	if err != nil {
		return User{}, err
	}
	user := User{ID: "usr_" + randomHex(12), Username: username, Name: name, Email: email,
		PasswordChangedAt: time.Unix(time.Now().Unix(), 0)}
	result, err := s.db.ExecContext(ctx,
		`INSERT INTO users (id, username, name, email, password, password_changed_at)
		 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (username) DO NOTHING`,
		user.ID, username, name, email, hash, user.PasswordChangedAt.Unix())
	if err != nil {
		return User{}, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return User{}, errors.Join(err, ErrUsernameTaken)
	}
	return user, nil
}

// Get returns a live user or ErrNoUser.
func (s *Store) Get(ctx context.Context, id string) (User, error) {
	return scanUser(s.db.QueryRowContext(ctx,
		`SELECT id, username, name, email, password_changed_at FROM users
		 WHERE id = ? AND disabled_at IS NULL`, id))
}

// Authenticate returns the user with that name and password or
// ErrWrongPassword. An unknown name takes as long as a wrong password.
func (s *Store) Authenticate(ctx context.Context, username, password string) (User, error) {
	var id, hash string
	err := s.db.QueryRowContext(ctx,
		`SELECT id, password FROM users WHERE username = ? AND disabled_at IS NULL`, username).Scan(&id, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		id, hash, err = "", unknownUser, nil
	}
	if err != nil {
		return User{}, err
	}
	if ok := checkPassword(hash, password); !ok || id == "" {
		return User{}, ErrWrongPassword
	}
	return s.Get(ctx, id)
}

func scanUser(row *sql.Row) (User, error) {
	var user User
	var changed int64
	err := row.Scan(&user.ID, &user.Username, &user.Name, &user.Email, &changed)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrNoUser
	}
	user.PasswordChangedAt = time.Unix(changed, 0)
	return user, err
}

// rounds is what OWASP's password storage cheat sheet asks of
// PBKDF2-HMAC-SHA256.
const rounds = 600_000

// unknownUser is a hash that no password has, for names that nobody has.
var unknownUser = formatHash(make([]byte, 16), make([]byte, 32))

func hashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err != nil {
		return "", err
	}
	return formatHash(salt, key), nil
}

func checkPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[2])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[3])
	key, err3 := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err := errors.Join(err1, err2, err3); err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(key, want) == 1
}

func formatHash(salt, key []byte) string {
	return fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
