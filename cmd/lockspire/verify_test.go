package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func inProcess(ctx context.Context, args ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = run(ctx, args, &terminal{in: strings.NewReader(""), out: &out, err: &errs})
	return exit, out.String(), errs.String()
}

func TestV87WrongCommandLinesOfVerify(t *testing.T) {
	for args, want := range map[string]string{
		"--format xml":                         "is not {text | json | sarif | github}",
		"--format json --format sarif":         "two formats go to stdout",
		"--json --format text":                 "two formats go to stdout",
		"--format json=a --format sarif=a":     "two formats go to a",
		"--format sarif=":                      "names no file",
		"--fail-on unproven":                   "is not {error | warning | info}",
		"--write-baseline":                     "--write-baseline needs --baseline <file>",
		"--allow-dirty":                        "go with --fix",
		"--timeout -1s":                        "is negative",
		"--format sarif --timeout tomorrow":    "tomorrow",
		"--format github --no-such-flag --fix": "no-such-flag",
	} {
		exit, stdout, stderr := inProcess(t.Context(), append([]string{"verify"}, strings.Fields(args)...)...)
		if exit != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %q", args, exit, stdout, stderr, want)
		}
	}
}

// An interrupted run says nothing on stdout and leaves no file, whatever the format.
func TestV05InterruptedVerifyPrintsNothing(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/host\n\ngo 1.25.0\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, interrupt)
	exit, stdout, stderr := inProcess(ctx, "verify", "--format", "json", "--format", "sarif=out.sarif")
	if exit != exitEnvironment || stdout != "" || stderr != "interrupted\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, stdout, stderr)
	}
	if _, err := os.Stat("out.sarif"); err == nil {
		t.Error("a part of a report was written")
	}
}
