package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func newKeysStatus(t *terminal) *cobra.Command {
	var o keysFlags
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show which secrets are still needed, for what and until when",
		Example: "  lockspire keys status\n  lockspire keys status --json",
		Long: `A secret is known by an id that says nothing about it. With LOCKSPIRE_SECRETS
set as your app has it, the status says which of them can go, and ends with 1 if
one is missing without which the app does not start.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.keys(cmd, t, func(keys *lockspire.Keys) error {
				status, err := keys.Status(cmd.Context())
				if err != nil {
					return keysRefusal(err, "lockspire keys status")
				}
				if o.json {
					err = t.json(statusJSON(status))
				} else {
					err = printStatus(t, status)
				}
				if err == nil && lacksKeySecret(status) {
					t.warnf("A secret is not in %s without which the app does not start.", secretsEnv)
					return shown(exitFindings)
				}
				return err
			})
		},
	}
	o.register(cmd)
	return cmd
}

// known says that secrets were given to compare with.
func known(status lockspire.KeysStatus) bool {
	return len(status.Secrets) > 0 && status.Secrets[0].Current
}

func lacksKeySecret(status lockspire.KeysStatus) bool {
	for _, secret := range status.Secrets {
		for _, use := range secret.Uses {
			if known(status) && !secret.Listed && use.For == lockspire.SecretForKeys {
				return true
			}
		}
	}
	return false
}

func statusJSON(status lockspire.KeysStatus) map[string]any {
	secrets := []map[string]any{}
	for _, secret := range status.Secrets {
		uses := []map[string]any{}
		for _, use := range secret.Uses {
			entry := map[string]any{"for": use.For, "rows": use.Rows}
			if !use.Until.IsZero() {
				entry["until"] = use.Until.Unix()
			}
			uses = append(uses, entry)
		}
		entry := map[string]any{"secret_id": secret.ID, "needed_for": uses}
		if known(status) {
			entry["listed"], entry["current"] = secret.Listed, secret.Current
		}
		secrets = append(secrets, entry)
	}
	return map[string]any{"keys": keysJSON(status.Keys), "secrets": secrets}
}

func printStatus(t *terminal, status lockspire.KeysStatus) error {
	if len(status.Secrets) == 0 {
		t.warnf("No secret is needed: the app has not started on this database yet.")
		return nil
	}
	rows := [][]string{{"SECRET ID", "LISTED", "NEEDED FOR", "UNTIL"}}
	for _, secret := range status.Secrets {
		listed := "?"
		switch {
		case secret.Current:
			listed = "first"
		case secret.Listed:
			listed = "yes"
		case known(status):
			listed = "no"
		}
		if len(secret.Uses) == 0 {
			needed := "nothing; it can go an hour after it was last the first"
			if secret.Current {
				needed = "new rows"
			}
			rows = append(rows, []string{secret.ID, listed, needed, ""})
		}
		for _, use := range secret.Uses {
			until := "the app seals them again"
			if secret.Current {
				until = "another secret is the first"
			}
			if !use.Until.IsZero() {
				until = minute(use.Until)
			}
			rows = append(rows, []string{secret.ID, listed, fmt.Sprintf("%s (%d)", strings.ReplaceAll(use.For, "_", " "), use.Rows), until})
		}
	}
	return t.table(rows)
}
