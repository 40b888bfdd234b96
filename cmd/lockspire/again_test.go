package main

import (
	"testing"

	"github.com/lockspire/lockspire/internal/plan"
)

// A2: the command that a refusal ends in can be pasted: it decides as this run did, but for what it is about.
func TestA2CommandsToPasteKeepTheFlagsOfTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		run        []string
		next, want string
	}{
		"none":                   {[]string{"install"}, "lockspire install --router main.go:9", "lockspire install --router main.go:9"},
		"flags":                  {[]string{"install", "--mount-path", "/idp", "--yes", "--tags", "a,b"}, "lockspire install --router main.go:9", "lockspire install --router main.go:9 --mount-path /idp --tags a,b --yes"},
		"the one that is mended": {[]string{"install", "--mount-path=/Auth", "--package", "x/y"}, "lockspire install --mount-path /auth", "lockspire install --mount-path /auth --package x/y"},
		"a detail of it":         {[]string{"install", "--migrations-dir", "db"}, "lockspire install --migrations runtime", "lockspire install --migrations runtime"},
		"one that only looks":    {[]string{"install", "--check", "--dry-run", "--no-wire"}, "lockspire install --dry-run", "lockspire install --dry-run --no-wire"},
		"a comment":              {[]string{"install", "--package", "x/y"}, "lockspire install --no-wire    # the package only", "lockspire install --no-wire --package x/y    # the package only"},
		"a directory":            {[]string{"-C", "a b", "install", "--yes"}, "go mod tidy\nlockspire upgrade\nlockspire install", "go mod tidy\nlockspire upgrade -C 'a b'\nlockspire install -C 'a b' --yes"},
		"another module":         {[]string{"-C", "top", "install", "--router", "x.go:1"}, "lockspire install -C e2e    # there", "lockspire install -C top/e2e    # there"},
		"with the environment":   {[]string{"install", "--yes"}, "GOOS=windows lockspire install", "GOOS=windows lockspire install --yes"},
		"another command":        {[]string{"install", "--yes"}, "lockspire explain LS101", "lockspire explain LS101"},
		"a password":             {[]string{"client", "list", "--database-url", "postgres://ada:hunter22@db/app"}, "lockspire client list", "lockspire client list"},
		"an apostrophe":          {[]string{"install", "--header-file", "it's"}, "lockspire install --yes", `lockspire install --yes --header-file 'it'\''s'`},
	} {
		t.Run(name, func(t *testing.T) {
			term, _, _ := session(t, "")
			cmd, rest, err := newRoot(term).Find(c.run)
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Fatal(err)
			}
			given := &plan.Refusal{Exit: 1, What: "x", Next: c.next}
			if got := again(cmd, plan.Refusals{given})[0].Next; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if given.Next != c.next {
				t.Error("the refusal itself was changed")
			}
		})
	}
}
