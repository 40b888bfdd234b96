// Package store keeps its database to itself.
package store

import (
	"database/sql"

	_ "modernc.org/sqlite"
)

var db *sql.DB

// Open opens the database.
func Open(name string) (err error) {
	db, err = sql.Open("sqlite", name)
	return err
}

// Count counts the posts.
func Count() (n int) {
	_ = db.QueryRow("SELECT count(*) FROM posts").Scan(&n)
	return n
}
