package main

import (
	"database/sql"
	"log"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"

	"example.com/feed/internal/web"
)

func main() {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	app, err := web.New(db)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Listen("localhost:8080"))
}
