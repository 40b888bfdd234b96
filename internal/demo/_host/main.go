// Fieldnotes is a small web app with users and sessions: the host that
// `lockspire demo` installs an authorization server into.
package main

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/fieldnotes/internal/accounts"

	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := openDatabase(ctx, envOr("FIELDNOTES_DATABASE", "fieldnotes.db"))
	if err != nil {
		return err
	}
	defer db.Close()

	handler, err := newRouter(db)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", envOr("FIELDNOTES_ADDR", "localhost:8080"))
	if err != nil {
		return err
	}
	log.Printf("fieldnotes listens on http://%s", listener.Addr())

	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		shutdown, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		server.Shutdown(shutdown)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openDatabase opens the SQLite file and brings this app's own tables up to
// date.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, accounts.Schema+notesSchema); err != nil {
		db.Close()
		return nil, err
	}
	if err := seed(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// seed adds one user with a few notes on the first start, so that there is
// someone to sign in as.
func seed(ctx context.Context, db *sql.DB) error {
	username, password := os.Getenv("FIELDNOTES_USER"), os.Getenv("FIELDNOTES_PASSWORD")
	if username == "" || password == "" {
		return nil
	}
	user, err := accounts.New(db).Create(ctx, username, "Ada Alder", username+"@fieldnotes.example", password)
	if errors.Is(err, accounts.ErrUsernameTaken) {
		return nil
	}
	if err != nil {
		return err
	}
	return addNotes(ctx, db, user.ID,
		"Two curlews on the north bank, 6:40. First of the year.",
		"Bridge camera: swap the battery before Friday.",
		"Ask Wren whether the ringing data from 2019 is in the shared sheet.",
	)
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
