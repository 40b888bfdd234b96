package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
	lockspire "github.com/lockspire/lockspire/runtime"
)

const secretsEnv = "LOCKSPIRE_SECRETS"

func newKeys(t *terminal) *cobra.Command {
	return group(&cobra.Command{
		Use:   "keys",
		Short: "List, rotate and revoke the issuer's signing keys",
		Example: `  lockspire keys list
  lockspire keys rotate            # the next keys take over; nobody notices
  lockspire keys revoke <kid>      # it leaked: every token signed with it stops now
  lockspire keys status            # which of your secrets are still needed`,
	}, newKeysList(t), newKeysRotate(t), newKeysRevoke(t), newKeysStatus(t))
}

// keysFlags are the flags of every keys command.
type keysFlags struct {
	databaseFlags
	json bool
}

func (f *keysFlags) register(cmd *cobra.Command) {
	f.databaseFlags.register(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// keys opens the database and hands its signing keys to fn. The secrets come
// from the environment, where the host has them too, and may be missing.
func (f *keysFlags) keys(cmd *cobra.Command, t *terminal, fn func(*lockspire.Keys) error) error {
	secrets, err := secretsFromEnv(t)
	if err != nil {
		return err
	}
	db, err := f.open(cmd, t, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ready(cmd.Context()); err != nil {
		return err
	}
	keys, err := lockspire.NewKeys(db.DB, db.dialect, db.schema, secrets, nil)
	if err != nil {
		return err
	}
	return fn(keys)
}

// secretsFromEnv reads LOCKSPIRE_SECRETS as generated hosts do. Neither a
// secret nor what was mistaken for one is ever printed.
func secretsFromEnv(t *terminal) ([][]byte, error) {
	var secrets [][]byte
	entries := strings.FieldsFunc(os.Getenv(secretsEnv), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	t.secrets.hidePassword(entries...)
	for i, entry := range entries {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(entry, "="))
		secret, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil || len(secret) < 32 {
			return nil, &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("%s: entry %d is not base64 of at least 32 bytes", secretsEnv, i+1),
				Next: "set " + secretsEnv + " to what your app has, or unset it"}
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

func keysRefusal(err error, again string) error {
	refuse := func(what, next string) error {
		return &plan.Refusal{Exit: exitFindings, What: what, Next: next}
	}
	switch {
	case errors.Is(err, lockspire.ErrNoKeys):
		return refuse("there are no signing keys in this database: the app makes them when it first starts", "start your app, then: "+again)
	case errors.Is(err, lockspire.ErrKeyNotFound):
		return refuse("no signing key has that kid: it is over, or was revoked already", "lockspire keys list")
	case errors.Is(err, lockspire.ErrSecretsNeeded):
		return &plan.Refusal{Exit: exitEnvironment, What: "a new key has to be made, and the secret that your app seals its keys with is not in " + secretsEnv,
			Next: "set " + secretsEnv + " to what your app has, then: " + again}
	}
	return databaseRefusal(err, "lockspire migrate status")
}

func newKeysList(t *terminal) *cobra.Command {
	var o keysFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the signing keys: active, next and retiring",
		Example: "  lockspire keys list\n  lockspire keys list --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.keys(cmd, t, func(keys *lockspire.Keys) error {
				all, err := keys.List(cmd.Context())
				if err != nil {
					return keysRefusal(err, "lockspire keys list")
				}
				if o.json {
					return t.json(keysJSON(all))
				}
				return printKeys(t, all)
			})
		},
	}
	o.register(cmd)
	return cmd
}

func keysJSON(all []lockspire.Key) []map[string]any {
	out := []map[string]any{}
	for _, key := range all {
		entry := map[string]any{"kid": key.KID, "alg": key.Alg, "state": key.State, "secret_id": key.SecretID, "created_at": key.CreatedAt.Unix()}
		for name, at := range map[string]time.Time{"activated_at": key.ActivatedAt, "rotation_requested_at": key.RequestedAt, "expires_at": key.ExpiresAt} {
			if !at.IsZero() {
				entry[name] = at.Unix()
			}
		}
		out = append(out, entry)
	}
	return out
}

func printKeys(t *terminal, all []lockspire.Key) error {
	if len(all) == 0 {
		t.warnf("There are no signing keys: the app makes them when it first starts.")
		return nil
	}
	rows := [][]string{{"KID", "ALG", "STATE", "CREATED", "SINCE OR UNTIL"}}
	for _, key := range all {
		when := "signs since " + minute(key.ActivatedAt)
		switch {
		case key.State == lockspire.KeyNext && !key.RequestedAt.IsZero():
			when = "takes over as soon as clients can know it"
		case key.State == lockspire.KeyNext:
			when = "published, waits"
		case key.State == lockspire.KeyRetiring:
			when = "published until " + minute(key.ExpiresAt)
		}
		rows = append(rows, []string{key.KID, key.Alg, key.State, key.CreatedAt.UTC().Format(time.DateOnly), when})
	}
	return t.table(rows)
}

func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 MST") }

func newKeysRotate(t *terminal) *cobra.Command {
	var o keysFlags
	var now bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Let the next signing keys take over",
		Example: `  lockspire keys rotate
  lockspire keys rotate --now`,
		Long: `The next key of each algorithm signs from now on; the one before it stays
published until the last token that it signed is over. A next key that was
published less than a day ago is marked instead, and the running app lets it
take over once every client that caches the key set can know it.

With --now nothing waits. Services that have cached the key set then refuse new
tokens until they read it again. For a key that leaked, use keys revoke.

LOCKSPIRE_SECRETS is needed, as your app has it, when a key has to be made.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.keys(cmd, t, func(keys *lockspire.Keys) error {
				rotate := keys.Rotate
				if now {
					rotate = keys.RotateNow
				}
				rotations, err := rotate(cmd.Context())
				if err != nil {
					return keysRefusal(err, "lockspire keys rotate")
				}
				return o.printRotations(t, rotations)
			})
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&now, "now", false, "do not wait until clients can know the next key")
	return cmd
}

func (f *keysFlags) printRotations(t *terminal, rotations []lockspire.Rotation) error {
	if f.json {
		out := []map[string]any{}
		for _, r := range rotations {
			entry := map[string]any{"alg": r.Alg, "active": r.Active}
			if r.Retired != "" {
				entry["retired"] = r.Retired
			}
			if r.Waiting != "" {
				entry["waiting"] = r.Waiting
			}
			out = append(out, entry)
		}
		return t.json(out)
	}
	for _, r := range rotations {
		switch {
		case r.Retired != "":
			t.printf("%s: %s signs now; %s retires\n", r.Alg, r.Active, r.Retired)
		case r.Waiting != "":
			t.printf("%s: %s takes over from %s when clients can know it; the running app does that\n", r.Alg, r.Waiting, r.Active)
		default:
			t.printf("%s: %s signs; it took over just now\n", r.Alg, r.Active)
		}
	}
	return nil
}

func newKeysRevoke(t *terminal) *cobra.Command {
	var o keysFlags
	cmd := &cobra.Command{
		Use:     "revoke <kid>",
		Short:   "Remove a key that leaked, with every token signed with it",
		Example: "  lockspire keys list\n  lockspire keys revoke <kid>",
		Long: `The key leaves the published set at once, and your app refuses every token
signed with it from the next request on, in every replica. Refresh tokens live
on, so clients get new tokens by themselves. In place of an active key the next
one signs, or a new one; for that LOCKSPIRE_SECRETS is needed, as your app has it.

Services that verify signatures without asking refuse the old tokens once they
have read the key set again.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "give one kid; lockspire keys list shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.keys(cmd, t, func(keys *lockspire.Keys) error {
				replacement, err := keys.Revoke(cmd.Context(), args[0])
				if err != nil {
					return keysRefusal(err, "lockspire keys revoke "+args[0])
				}
				if o.json {
					return t.json(map[string]any{"revoked": args[0], "replacement": replacement})
				}
				t.printf("revoked %s: tokens signed with it are refused from now on\n", args[0])
				if replacement != "" {
					t.printf("%s signs now\n", replacement)
				}
				return nil
			})
		},
	}
	o.register(cmd)
	return cmd
}
