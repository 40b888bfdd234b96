package main

import (
	"strings"
	"testing"
)

// What each script is held to without asking can fail: one broken run for each row, and the runs that are allowed.
func TestA0A1A4A5A8BrokenRunsAreSeen(t *testing.T) {
	same := map[string]string{"app/go.mod": "1", "app/.git/index": "2"}
	changed := map[string]string{"app/go.mod": "1", "app/.git/index": "3", "app/new": "4"}
	env := []string{"WORK=/tmp/script", "GOMODCACHE=/cache/mod", "SESSION_KEY=" + canary, "LOCKSPIRE_DATABASE_URL=postgres://ada:hunter22@db/app"}
	for name, c := range map[string]struct {
		x    execution
		want string // "" for an allowed run
	}{
		"a failure writes":                  {execution{args: []string{"install", "--yes"}, exit: 1, after: changed}, "A0 it exits with 1 and changes app/.git/index"},
		"a failure deletes":                 {execution{args: []string{"install", "--yes"}, exit: 1, after: map[string]string{"app/go.mod": "1"}}, "A0 it exits with 1 and changes app/.git/index"},
		"a success writes":                  {execution{args: []string{"install", "--yes"}, after: changed}, ""},
		"a merge leaves its conflicts":      {execution{args: []string{"upgrade", "--merge"}, exit: 1, after: with(same, "app/.lockspire/conflicts/x", "")}, ""},
		"a merge leaves more":               {execution{args: []string{"upgrade", "--merge"}, exit: 1, after: with(same, "app/x", "")}, "A0"},
		"a part that was asked for":         {execution{args: []string{"upgrade", "--partial"}, exit: 1, after: changed}, ""},
		"a dry run writes":                  {execution{args: []string{"-C", "app", "install", "--dry-run"}, after: changed}, "A1 it only reads, and changes app/new"},
		"verify writes":                     {execution{args: []string{"verify"}, after: changed}, "A1"},
		"verify repairs":                    {execution{args: []string{"verify", "--fix"}, after: changed}, ""},
		"verify writes its report":          {execution{args: []string{"verify", "--format", "text", "--format", "json=new"}, exit: 1, stdout: "text\n", after: with(same, "new", "{}")}, ""},
		"verify writes another file":        {execution{args: []string{"verify", "--format", "json=out"}, after: with(same, "new", "{}")}, "A1"},
		"verify writes its baseline":        {execution{args: []string{"verify", "--baseline", "new", "--write-baseline"}, after: with(same, "new", "{}")}, ""},
		"verify reads its baseline":         {execution{args: []string{"verify", "--baseline", "new"}, after: with(same, "new", "{}")}, "A1"},
		"verify repairs, and more is wrong": {execution{args: []string{"verify", "--fix"}, exit: 1, stderr: "x\nfixed: a [LS501]\n", after: changed}, ""},
		"verify repairs and is refused":     {execution{args: []string{"verify", "--fix"}, exit: 1, after: changed}, "A0"},
		"explain writes":                    {execution{args: []string{"explain", "LS101"}, after: changed}, "A1"},
		"no JSON":                           {execution{args: []string{"verify", "--json"}, stdout: "fine\n"}, "A4 stdout is not one JSON value"},
		"two JSON values":                   {execution{args: []string{"verify", "--format", "json"}, stdout: "{}\n{}\n"}, "A4"},
		"no SARIF":                          {execution{args: []string{"verify", "--format", "sarif"}, exit: 1, stdout: "main.go:1: error\n"}, "A4"},
		"SARIF in a file":                   {execution{args: []string{"verify", "--format", "sarif=out.sarif"}, exit: 1, stdout: "main.go:1: error\n"}, ""},
		"JSON of a failed load":             {execution{args: []string{"verify", "--json"}, exit: 3}, "A4"},
		"JSON and an interrupt":             {execution{args: []string{"verify", "--json"}, exit: 3, stderr: "interrupted\n"}, ""},
		"an error among the results":        {execution{args: []string{"verify"}, exit: 1, stdout: "error: x\n"}, "A4 an error is on stdout"},
		"a path of this machine":            {execution{args: []string{"verify"}, stderr: "/tmp/script/app/main.go:1"}, `A5 its output holds "/tmp/script"`},
		"a path that the caller typed":      {execution{args: []string{"verify", "-C", "/tmp/script/app"}, stderr: "/tmp/script/app is not a module"}, ""},
		"a temporary name":                  {execution{args: []string{"verify"}, stderr: "lockspire-work-12345/go.work"}, "A5"},
		"a build stamp":                     {execution{args: []string{"version"}, stdout: "v1.2.3+dirty\n"}, "A5"},
		"a migration numbered later":        {execution{args: []string{"verify"}, stdout: "db/20260101000000_x.sql\n", again: "db/20260101000001_x.sql\n"}, ""},
		"other output elsewhere":            {execution{args: []string{"verify"}, stdout: "a\n", again: "b\n"}, "A5 the same tree elsewhere"},
		"a password is printed":             {execution{args: []string{"migrate", "up"}, exit: 3, stderr: "cannot reach db with hunter22"}, `A8 it prints "hunter22"`},
		"an argument's password":            {execution{args: []string{"client", "list", "--database-url", "host=x password=opensesame"}, stderr: "opensesame"}, "A8"},
		"the environment is printed":        {execution{args: []string{"verify"}, stdout: canary}, "A8"},
		"the environment is stored":         {execution{args: []string{"install", "--yes"}, after: with(same, "app/.lockspire/manifest.json", canary)}, "A8 it stores"},
	} {
		t.Run(name, func(t *testing.T) {
			x := c.x
			x.env, x.root, x.before = env, "/tmp/script", same
			if x.after == nil {
				x.after = same
			}
			got := strings.Join(x.faults(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("faults are %q, want %q", got, c.want)
			}
		})
	}
}

func with(tree map[string]string, path, content string) map[string]string {
	out := map[string]string{path: content}
	for name, state := range tree {
		out[name] = state
	}
	return out
}
