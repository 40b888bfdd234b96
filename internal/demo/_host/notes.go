package main

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"time"
)

const notesSchema = `
CREATE TABLE IF NOT EXISTS notes (
	id         INTEGER PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id),
	text       TEXT NOT NULL,
	created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS notes_by_user ON notes (user_id, id);
`

// note is one line of somebody's notebook.
type note struct {
	ID        int64     `json:"id"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

// notesOf returns a user's notes, newest first.
func notesOf(ctx context.Context, db *sql.DB, userID string) ([]note, error) {
	rows, err := db.QueryContext(ctx,
		`SELECT id, text, created_at FROM notes WHERE user_id = ? ORDER BY id DESC LIMIT 50`, userID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	notes := []note{}
	for rows.Next() {
		var n note
		var created int64
		if err := rows.Scan(&n.ID, &n.Text, &created); err != nil {
			return nil, err
		}
		n.CreatedAt = time.Unix(created, 0).UTC()
		notes = append(notes, n)
	}
	return notes, rows.Err()
}

func addNotes(ctx context.Context, db *sql.DB, userID string, texts ...string) error {
	for _, text := range texts {
		if _, err := db.ExecContext(ctx,
			`INSERT INTO notes (user_id, text, created_at) VALUES (?, ?, ?)`, userID, text, time.Now().Unix()); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) addNote(w http.ResponseWriter, r *http.Request) {
	user, _, err := a.accounts.Current(r)
	if err != nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	text := strings.TrimSpace(r.FormValue("text"))
	if text != "" && len(text) <= 500 {
		if err := addNotes(r.Context(), a.db, user.ID, text); err != nil {
			serverError(w, err)
			return
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
