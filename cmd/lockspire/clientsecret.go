package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
	lockspire "github.com/lockspire/lockspire/runtime"
)

// rotateSecret is what the flags of `client rotate-secret` fill.
type rotateSecret struct {
	databaseFlags
	overlap time.Duration
	json    bool
}

func newClientRotateSecret(t *terminal) *cobra.Command {
	var o rotateSecret
	cmd := &cobra.Command{
		Use:   "rotate-secret <client-id>",
		Short: "Make a new secret and show it once; old ones end after an overlap",
		Example: `  lockspire client rotate-secret client_x                  # the old secret works for another day
  lockspire client rotate-secret client_x --overlap 168h
  lockspire client rotate-secret client_x --overlap 0      # it leaked: the old one stops now`,
		Args: oneClient,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, t, args[0]) },
	}
	o.register(cmd)
	cmd.Flags().DurationVar(&o.overlap, "overlap", 24*time.Hour, "how `<long>` older secrets still work, up to 2160h (90 days)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, with the names of RFC 7591")
	return cmd
}

func (o *rotateSecret) run(cmd *cobra.Command, t *terminal, id string) error {
	if o.overlap < 0 || o.overlap > 90*24*time.Hour {
		return usage(cmd, "--overlap %v is not between 0 and 2160h", o.overlap)
	}
	db, err := o.open(cmd, t, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ready(cmd.Context()); err != nil {
		return err
	}
	clients := lockspire.NewClients(db.DB, db.dialect, db.schema)
	until := time.Now().Add(o.overlap).UTC()
	secret, err := clients.RotateSecret(cmd.Context(), id, o.overlap)
	if err != nil {
		return secretRefusal(err, id)
	}
	if o.json {
		return t.json(map[string]any{"client_id": id, "client_secret": secret, "client_secret_expires_at": 0,
			"old_secrets_expire_at": until.Unix()})
	}
	if err := t.table([][]string{{"client_id", id}, {"client_secret", secret}}); err != nil {
		return err
	}
	words := "Older secrets work until " + until.Format("2006-01-02 15:04 MST")
	if o.overlap == 0 {
		words = "Older secrets have stopped working"
	}
	t.warnf("%s. The new one is shown this once: only its hash is kept.", words)
	return nil
}

func secretRefusal(err error, id string) error {
	refuse := func(what, next string) error {
		return &plan.Refusal{Exit: exitFindings, What: fmt.Sprintf("client %q %s", id, what), Next: next}
	}
	switch {
	case errors.Is(err, lockspire.ErrClientHasNoSecret):
		return refuse("is public: it has no secret", "lockspire client list")
	case errors.Is(err, lockspire.ErrClientDisabled):
		return refuse("is disabled", "lockspire client create --name <name> --redirect-uri <uri>")
	case errors.Is(err, lockspire.ErrTooManySecrets):
		return refuse("has as many secrets as may overlap; wait until one ends, or end them all at once", "lockspire client rotate-secret "+id+" --overlap 0")
	}
	return clientRefusal(err, id)
}

func oneClient(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(cmd, "give one client id; lockspire client list shows them")
	}
	return nil
}
