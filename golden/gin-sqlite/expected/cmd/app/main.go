package main

import (
	"log"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"example.com/shop/internal/web"
)

func main() {
	source := "file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	db, err := gorm.Open(sqlite.Open(source), &gorm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	site, err := web.New(db)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(site.Run("localhost:8080"))
}
