// Almanac is the third party of `lockspire demo`: an app of somebody else's
// that signs people in with Fieldnotes and reads their notes through its API.
// Nothing in it knows Lockspire; it uses golang.org/x/oauth2 and
// github.com/coreos/go-oidc as any Go client would.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	addr := os.Getenv("ALMANAC_ADDR")
	app := &app{
		issuer: os.Getenv("ALMANAC_ISSUER"),
		api:    os.Getenv("ALMANAC_API"),
		visits: map[string]*visit{},
		config: oauth2.Config{
			ClientID:     os.Getenv("ALMANAC_CLIENT_ID"),
			ClientSecret: os.Getenv("ALMANAC_CLIENT_SECRET"),
			RedirectURL:  "http://" + addr + "/callback",
			Scopes:       strings.Fields(os.Getenv("ALMANAC_SCOPES")),
		},
	}
	if err := app.discover(ctx); err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: app.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		shutdown, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		server.Shutdown(shutdown)
	}()
	log.Printf("almanac listens on http://%s", addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// discover reads the issuer's metadata, which has the endpoints and keys.
func (a *app) discover(ctx context.Context) error {
	// The client outlives ctx in go-oidc's key set, so it is not bound to it.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client(nil)), a.issuer)
	if err != nil {
		return err
	}
	a.provider = provider
	a.config.Endpoint = provider.Endpoint()
	a.verifier = provider.Verifier(&oidc.Config{ClientID: a.config.ClientID})
	return nil
}
