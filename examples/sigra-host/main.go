// Sigra-host is an application whose sign-in is its own, in two steps, and
// whose handlers find the signed-in user in the request's scope. Lockspire was
// installed into it with `lockspire install --sigra-host`.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/sigra-host/internal/signin"
	"example.com/sigra-host/internal/web"

	_ "modernc.org/sqlite"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "code" {
		fmt.Println(signin.Code(trialSecret, time.Now()))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", dsn("harbour.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	handler, err := web.New(ctx, db)
	if err != nil {
		return err
	}
	if err := addTrialUser(ctx, db); err != nil {
		return err
	}
	server := &http.Server{Addr: "localhost:8080", Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		shutdown, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		server.Shutdown(shutdown)
	}()
	fmt.Println("listening on http://localhost:8080")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func dsn(file string) string {
	return "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
}

// trialSecret is what an authenticator app would hold for the trial user.
var trialSecret = []byte("for trying it out only")

// addTrialUser adds someone to try the example as.
func addTrialUser(ctx context.Context, db *sql.DB) error {
	if _, err := signin.New(db).AddUser(ctx, "mira@harbour.example", "Mira Quay", "ebb-and-flood", trialSecret); err != nil {
		return err
	}
	fmt.Println("sign in as mira@harbour.example, password ebb-and-flood; for the code run: go run . code")
	return nil
}
