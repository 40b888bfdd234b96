package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/upgrade"
	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/templates"
)

func newMigrate(t *terminal) *cobra.Command {
	return group(&cobra.Command{
		Use:   "migrate",
		Short: "Create and update the lockspire_* tables, for hosts with no migration tool",
		Example: `  lockspire migrate status
  lockspire migrate up`,
	}, newMigrateUp(t), newMigrateStatus(t))
}

func newMigrateUp(t *terminal) *cobra.Command {
	var o databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Bring the tables to the schema of this version",
		Example: "  lockspire migrate up --database-url sqlite:app.db",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnOfOtherTool(t)
			db, err := o.open(cmd, t, true)
			if err != nil {
				return err
			}
			defer db.Close()
			before, err := lockspire.SchemaStatus(cmd.Context(), db.DB, db.dialect, db.schema)
			if err != nil {
				return databaseRefusal(err, "lockspire migrate status")
			}
			t.step("applying migrations")
			if err := lockspire.Migrate(cmd.Context(), db.DB, db.dialect, db.schema); err != nil {
				return databaseRefusal(err, "lockspire migrate status")
			}
			after, err := lockspire.SchemaStatus(cmd.Context(), db.DB, db.dialect, db.schema)
			if err != nil {
				return databaseRefusal(err, "lockspire migrate status")
			}
			if asJSON {
				return t.json(map[string]any{"from": before.Version, "to": after.Version, "latest": after.Latest})
			}
			if before.Version == after.Version {
				t.printf("up to date: schema %d\n", after.Version)
			} else {
				t.printf("applied: schema %d to %d\n", before.Version, after.Version)
			}
			return nil
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// warnOfOtherTool speaks up where the host's own migration tool brings the
// same tables: it would find them there and stop.
func warnOfOtherTool(t *terminal) {
	root, err := upgrade.ModuleRoot("")
	if err != nil {
		return
	}
	m, err := manifest.Read(root)
	if err != nil {
		return
	}
	var in struct {
		Tool string `json:"migrations"`
		Dir  string `json:"migrations_dir"`
	}
	if json.Unmarshal(m.Inputs, &in) == nil && templates.WritesMigrations(in.Tool) {
		t.warnf("warning: this host has its migrations for %s in %s; on its own database, run that instead", in.Tool, in.Dir)
	}
}

func newMigrateStatus(t *terminal) *cobra.Command {
	var o databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the schema version of the tables and what is pending",
		Example: "  lockspire migrate status\n  lockspire migrate status --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := o.open(cmd, t, false)
			if err != nil {
				return err
			}
			defer db.Close()
			status, err := lockspire.SchemaStatus(cmd.Context(), db.DB, db.dialect, db.schema)
			if err != nil {
				return databaseRefusal(err, "")
			}
			pending := append([]int{}, status.Pending()...)
			if asJSON {
				return t.json(map[string]any{"engine": string(db.dialect), "version": status.Version, "latest": status.Latest,
					"pending": pending, "min_runtime": status.MinRuntime, "issuer": status.Issuer})
			}
			rows := [][]string{{"engine", string(db.dialect)}, {"schema", fmt.Sprintf("%d of %d", status.Version, status.Latest)}, {"pending", pendingWords(pending)}}
			if status.Issuer != "" {
				rows = append(rows, []string{"issuer", status.Issuer})
			}
			return t.table(rows)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func pendingWords(pending []int) string {
	if len(pending) == 0 {
		return "nothing"
	}
	words := make([]string, len(pending))
	for i, v := range pending {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}
