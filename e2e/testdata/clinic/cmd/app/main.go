// Command app serves the clinic's app on PostgreSQL.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/clinic/internal/server"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Addr: os.Getenv("ADDR"), Handler: server.New(pool)}
	log.Fatal(srv.ListenAndServe())
}
