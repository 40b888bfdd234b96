package main

import (
	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/doctor"
	"github.com/lockspire/lockspire/internal/verify"
)

func newExplain(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:     "explain [rule]",
		Short:   "Say what a finding of verify or doctor means and what right looks like",
		Example: "  lockspire explain          # all rules\n  lockspire explain LS101",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "give one rule; without one, all are listed")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, rule := range verify.Rules {
				ids = append(ids, rule.ID+"\t"+rule.Title)
			}
			for _, check := range doctor.Checks {
				ids = append(ids, check.ID+"\t"+check.Title)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				text, ok := verify.Explain(args[0])
				if !ok {
					text, ok = doctor.Explain(args[0])
				}
				if !ok {
					return usage(cmd, "there is no rule %q; without an argument, all are listed", args[0])
				}
				t.printf("%s", text)
				return nil
			}
			rows := [][]string{{"RULE", "NAME", "SEVERITY", "TITLE"}}
			for _, rule := range verify.Rules {
				rows = append(rows, []string{rule.ID, rule.Name, string(rule.Severity), rule.Title})
			}
			for _, check := range doctor.Checks {
				rows = append(rows, []string{check.ID, check.Name, string(check.Severity), check.Title})
			}
			return t.table(rows)
		},
	}
}
