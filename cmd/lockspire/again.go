package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lockspire/lockspire/internal/plan"
)

// again puts the flags of this run into the commands that its refusals end in: pasted without them, the next run would
// decide otherwise. A command of another name gets the directory only.
func again(cmd *cobra.Command, refusals plan.Refusals) plan.Refusals {
	if cmd == nil || !slices.Contains([]string{"install", "upgrade", "verify"}, cmd.Name()) {
		return refusals // what names a database holds a password
	}
	out := make(plan.Refusals, len(refusals))
	for i, r := range refusals {
		with := *r
		lines := strings.Split(r.Next, "\n")
		for j, line := range lines {
			lines[j] = withFlags(cmd, line)
		}
		with.Next = strings.Join(lines, "\n")
		out[i] = &with
	}
	return out
}

func withFlags(cmd *cobra.Command, line string) string {
	command, comment := line, ""
	if i := strings.Index(line, "    #"); i >= 0 {
		command, comment = line[:i], line[i:]
	}
	words := strings.Fields(command)
	for len(words) > 0 && strings.Contains(words[0], "=") {
		words = words[1:] // GOOS=windows lockspire install
	}
	if len(words) < 2 || words[0] != "lockspire" || words[1] == "help" || words[1] == "explain" {
		return line
	}
	dir, err := cmd.Flags().GetString("chdir")
	if at := slices.Index(words, "-C"); err == nil && at > 0 && at+1 < len(words) {
		words[at+1] = filepath.ToSlash(filepath.Join(dir, words[at+1]))
		return strings.Join(words, " ") + comment // another module, with decisions of its own
	}
	added := []string{}
	if words[1] == cmd.Name() {
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if f.Name != "chdir" && f.Name != "dry-run" && f.Name != "check" && !named(words, f.Name) {
				added = append(added, spelled(f))
			}
		})
	}
	if err == nil && dir != "" {
		added = append([]string{"-C", quoted(dir)}, added...)
	}
	if len(added) == 0 {
		return line
	}
	return command + " " + strings.Join(added, " ") + comment
}

// named reports whether a command settles a flag, or one that the flag is a detail of, such as --migrations for
// --migrations-dir.
func named(words []string, flag string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		name, ok := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		return ok && (name == flag || strings.HasPrefix(flag, name+"-"))
	})
}

// spelled is a flag as it was given.
func spelled(f *pflag.Flag) string {
	value := f.Value.String()
	if list, ok := f.Value.(pflag.SliceValue); ok {
		value = strings.Join(list.GetSlice(), ",")
	}
	if f.Value.Type() == "bool" {
		if value == "true" {
			return "--" + f.Name
		}
		return "--" + f.Name + "=" + value
	}
	return "--" + f.Name + " " + quoted(value)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@,+~-]+$`)

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
