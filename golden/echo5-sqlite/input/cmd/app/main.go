package main

import (
	"database/sql"
	"log"

	_ "modernc.org/sqlite"

	"example.com/memo/internal/web"
)

func main() {
	db, err := sql.Open("sqlite", "file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(web.New(db).Start("localhost:8080"))
}
