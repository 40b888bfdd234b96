package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Every run of the command in a script is held to rows A0, A1, A4, A5 and A8 of docs/cases.md, whether the script asks or
// not: the program that scripts call is supervise, which runs the real command as its child. What a run breaks is
// written to the file that reportEnv names, and fails the script at its end, so that no "!" in front can hide it.
const reportEnv = "LOCKSPIRE_TEST_REPORT"

// canary stands for every secret that a person has in the environment; each script has it.
const canary = "canary-4c8f1d"

// execution is one run of the command, with the tree around it.
type execution struct {
	args, env      []string
	root           string // what below it may not change; the script's directory
	exit           int
	stdout, stderr string
	before, after  map[string]string
	again          string // what a second run on a copy elsewhere printed, "" for none
}

func supervise() {
	report := os.Getenv(reportEnv)
	if report == "" {
		main()
	}
	x := &execution{args: os.Args[1:], env: os.Environ(), root: os.Getenv("WORK")}
	x.before = must(snapshotTree(x.root))
	var copied string
	if x.repeatable() {
		copied = must(os.MkdirTemp(filepath.Dir(report), "elsewhere"))
		check(os.CopyFS(copied, os.DirFS(x.root)))
	}
	x.exit, x.stdout, x.stderr = child(must(os.Getwd()), x.args)
	fmt.Fprint(os.Stdout, x.stdout)
	fmt.Fprint(os.Stderr, x.stderr)
	x.after = must(snapshotTree(x.root))
	if copied != "" {
		dir := filepath.Join(copied, must(filepath.Rel(x.root, must(os.Getwd()))))
		exit, out, errs := child(dir, x.args)
		if x.again = out + errs; exit != x.exit || x.again != x.stdout+x.stderr {
			x.again = fmt.Sprintf("exit %d\n%s", exit, x.again)
		}
		check(os.RemoveAll(copied))
	}
	if faults := x.faults(); len(faults) > 0 {
		f := must(os.OpenFile(report, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666))
		fmt.Fprintf(f, "lockspire %s\n  %s\n", strings.Join(x.args, " "), strings.Join(faults, "\n  "))
		check(f.Close())
	}
	os.Exit(x.exit)
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// child runs the command itself in dir. An interrupt goes on to it.
func child(dir string, args []string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := exec.Command(must(os.Executable()), args...)
	cmd.Args[0] = "lockspire"
	cmd.Dir, cmd.Env = dir, append(os.Environ(), reportEnv+"=", "PWD="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, &out, &errs
	if isTerminal(os.Stdout) { // what a terminal gets is the script's to look at
		cmd.Stdout = os.Stdout
	}
	if isTerminal(os.Stderr) {
		cmd.Stderr = os.Stderr
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	check(cmd.Start())
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	return exitOf(cmd.Wait()), out.String(), errs.String()
}

// faults are the rows that the run breaks.
func (x *execution) faults() []string {
	var out []string
	fault := func(row, format string, args ...any) {
		out = append(out, row+" "+fmt.Sprintf(format, args...))
	}
	for _, path := range changedPaths(x.before, x.after) {
		switch {
		case x.pending() && !x.readsOnly():
			// It finished the run that a kill interrupted, whatever became of its own.
		case x.exit != 0 && !x.mayLeave(path) && !x.isOutput(path):
			fault("A0", "it exits with %d and changes %s", x.exit, path)
		case x.readsOnly() && !x.isOutput(path):
			fault("A1", "it only reads, and changes %s", path)
		}
	}
	if what := x.wrongStreams(); what != "" {
		fault("A4", "%s", what)
	}
	for _, text := range x.machinePaths() {
		fault("A5", "its output holds %q, which is this machine's", text)
	}
	if x.again != "" && clock.ReplaceAllString(x.again, "") != clock.ReplaceAllString(x.stdout+x.stderr, "") {
		fault("A5", "the same tree elsewhere gives other output:\n%s\nand not\n%s", x.again, x.stdout+x.stderr)
	}
	for _, secret := range x.secrets() {
		if strings.Contains(x.stdout+x.stderr, secret) {
			fault("A8", "it prints %q, which is a secret of the caller", secret)
		}
		for _, path := range changedPaths(x.before, x.after) {
			if strings.Contains(x.after[path], secret) {
				fault("A8", "it stores %q in %s", secret, path)
			}
		}
	}
	return out
}

// has reports whether a flag is on the command line.
func (x *execution) has(flag string) bool {
	return slices.ContainsFunc(x.args, func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") })
}

// verb is the command and, if it has one, its subcommand.
func (x *execution) verb() string {
	var words []string
	for i := 0; i < len(x.args) && len(words) < 2; i++ {
		switch arg := x.args[i]; {
		case arg == "-C" || arg == "--chdir":
			i++
		case !strings.HasPrefix(arg, "-"):
			words = append(words, arg)
		}
	}
	return strings.Join(words, " ")
}

var readingVerbs = regexp.MustCompile(`^$|^(verify|doctor|explain|version|help|completion)\b|^(client (list|show)|keys (list|status)|migrate status)$`)

func (x *execution) readsOnly() bool {
	return readingVerbs.MatchString(x.verb()) && !x.has("--fix") || x.has("--dry-run") || x.has("--check") || x.has("--help")
}

// repeatable is what reads a whole repository, and is said nothing about this machine.
func (x *execution) repeatable() bool {
	verb, _, _ := strings.Cut(x.verb(), " ")
	return x.readsOnly() && slices.Contains([]string{"verify", "install", "upgrade"}, verb) &&
		!slices.ContainsFunc(x.args, func(arg string) bool { return strings.Contains(arg, x.root) })
}

// mayLeave names what a run that fails may write: what it was asked to.
func (x *execution) mayLeave(path string) bool {
	// verify --fix reports what is left when the fixes are made: an error there does not take them back.
	fixed := x.has("--fix") && x.exit == exitFindings && strings.Contains("\n"+x.stderr, "\nfixed: ")
	return fixed || x.has("--partial") || x.has("--merge") && strings.Contains(path, ".lockspire/conflicts")
}

// isOutput reports whether path is, or lies on the way to, a file that the caller named for a report of verify.
func (x *execution) isOutput(path string) bool {
	if verb, _, _ := strings.Cut(x.verb(), " "); verb != "verify" {
		return false
	}
	var names []string
	for i, arg := range x.args {
		if _, file, ok := strings.Cut(arg, "="); ok && i > 0 && x.args[i-1] == "--format" {
			names = append(names, file)
		}
		if arg == "--baseline" && x.has("--write-baseline") && i+1 < len(x.args) {
			names = append(names, x.args[i+1])
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return filepath.Base(name) == filepath.Base(path) || path == filepath.Dir(name)
	})
}

// pending reports whether a killed run had left its journal.
func (x *execution) pending() bool {
	for path := range x.before {
		if strings.HasSuffix(path, ".lockspire/txn/journal.json") {
			return true
		}
	}
	return false
}

// wrongStreams is A4: a result that a program reads is whole, and errors are not among the results.
func (x *execution) wrongStreams() string {
	line := strings.Join(x.args, " ") + " "
	if x.has("--json") || regexp.MustCompile(`--format[ =](json|sarif) `).MatchString(line) {
		stopped := x.stdout == "" && (x.exit == exitUsage || x.exit == exitEnvironment && strings.Contains(x.stderr, "interrupted"))
		if !stopped && !json.Valid([]byte(x.stdout)) {
			return "stdout is not one JSON value:\n" + x.stdout
		}
		return ""
	}
	for line = range strings.Lines(x.stdout) {
		if strings.HasPrefix(line, "error: ") {
			return "an error is on stdout: " + line
		}
	}
	return ""
}

// clock is the number of a new migration in a directory that counts in times: the one thing that a plan takes from the
// clock.
var clock = regexp.MustCompile(`\b(20[0-9]{12}|1[0-9]{9})_`)

var temporary = regexp.MustCompile(`lockspire-[a-z]+-[0-9]{4,}|\+dirty`)

// machinePaths are the texts of an output that another machine would print otherwise.
func (x *execution) machinePaths() []string {
	text := x.stdout + x.stderr
	for _, arg := range x.args { // what the caller typed may be said back
		if filepath.IsAbs(arg) {
			text = strings.ReplaceAll(text, arg, "")
		}
	}
	found := temporary.FindAllString(text, -1)
	for _, name := range []string{"WORK", "GOMODCACHE", "GOCACHE", "TMPDIR", "GOROOT"} {
		if path := lookup(x.env, name); path != "" && strings.Contains(text, path) {
			found = append(found, path)
		}
	}
	return found
}

var (
	secretName  = regexp.MustCompile(`(?i)secret|password|token|_key$|_dsn$|database_url$`)
	passwordArg = regexp.MustCompile(`password=([^\s&']+)`)
)

// secrets are what the caller holds and nobody may see again.
func (x *execution) secrets() []string {
	var out []string
	add := func(s string) {
		if len(s) > 3 && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, pair := range x.env {
		name, value, _ := strings.Cut(pair, "=")
		if secretName.MatchString(name) && strings.HasPrefix(value, "sqlite:") {
			continue // the name of a file
		}
		if secretName.MatchString(name) {
			add(value)
		}
	}
	for _, text := range append(slices.Clone(x.env), x.args...) {
		if i := strings.Index(text, "://"); i >= 0 {
			if u, err := url.Parse(text[strings.LastIndexByte(text[:i], '=')+1:]); err == nil && u.User != nil {
				password, _ := u.User.Password()
				add(password)
			}
		}
		if m := passwordArg.FindStringSubmatch(text); m != nil {
			add(m[1])
		}
	}
	return append(out, canary)
}

func lookup(env []string, name string) string {
	value := ""
	for _, pair := range env {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}

// snapshotTree is every file below root: mode, time, content, link target. The git index is a file like any other.
func snapshotTree(root string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return nil
		} else if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == ".tmp" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all[rel] = info.Mode().String()
		case info.Mode()&fs.ModeSymlink != 0:
			all[rel], err = os.Readlink(name)
		case info.Mode().IsRegular():
			var data []byte
			data, err = os.ReadFile(name)
			all[rel] = fmt.Sprint(info.Mode(), " ", info.ModTime().UnixNano(), " ", string(data))
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
	return all, err
}

// changedPaths are the names that are new, gone or different, sorted.
func changedPaths(before, after map[string]string) []string {
	var out []string
	for name, state := range after {
		if old, was := before[name]; !was || old != state {
			out = append(out, name)
		}
	}
	for name := range before {
		if _, is := after[name]; !is {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
