// Command app is a small note-taking site with users and sessions.
package main

import (
	"database/sql"
	"log"
	"net/http"

	"example.com/notes/internal/web"

	_ "modernc.org/sqlite"
)

func main() {
	db, err := sql.Open("sqlite", "file:notes.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	handler, err := web.NewRouter(db)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:8080", handler))
}
