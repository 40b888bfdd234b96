package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
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

// An interrupted run says nothing on stdout and leaves no file, whatever the format. The process is a real one, stopped
// while its go command is at work.
func TestV05InterruptedVerifyPrintsNothing(t *testing.T) {
	command, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, bin := t.TempDir(), t.TempDir()
	started := filepath.Join(bin, "started")
	for name, text := range map[string]string{
		filepath.Join(dir, "go.mod"):  "module example.com/host\n\ngo 1.25.0\n",
		filepath.Join(dir, "main.go"): "package main\n\nfunc main() {}\n",
		filepath.Join(bin, "go"):      "#!/bin/sh\n: >" + started + "\nexec sleep 60\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(command, "verify", "--format", "json", "--format", "sarif=out.sarif")
	cmd.Args[0] = "lockspire"
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GOWORK=off", reportEnv+"=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := os.Stat(started); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if exit := exitOf(cmd.Wait()); exit != exitEnvironment || out.Len() != 0 || errs.String() != "interrupted\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", exit, out.String(), errs.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "out.sarif")); err == nil {
		t.Error("a part of a report was written")
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

func TestV04StrictLoadEndsWithThreeAndStillReports(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/host\n\ngo 1.25.0\n", "main.go": "package main\n\nfunc main() { missing() }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	for flag, want := range map[string]int{"--strict": exitFindings, "--strict-load": exitEnvironment} {
		exit, stdout, stderr := inProcess(t.Context(), "verify", flag)
		if exit != want || !strings.Contains(stdout, "1 load error of the host itself (the first: main.go:3:15: undefined: missing)") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", flag, exit, stdout, stderr)
		}
		if says := strings.Contains(stderr, "go build ./..."); says != (flag == "--strict-load") {
			t.Errorf("%s: stderr %q", flag, stderr)
		}
	}
}
