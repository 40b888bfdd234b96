package upgrade

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/plan/plantest"
)

const resolver = "internal/authserver/account_resolver.go"

// outgrown is a host whose resolver fits the runtime that its generated code was
// made for, and a generation that wants two methods more.
func outgrown(t *testing.T) (string, Generation) {
	t.Helper()
	mountFor := func(use string) Generation {
		return withMount("import lockspire \"" + hostrepo.RuntimeModule + "\"\n\n" + use)
	}
	root := host(t, mountFor("var _ lockspire.OldResolver = newResolver()"))
	put(t, root, "go.mod", "module example.com/app\n\ngo 1.24\n\nrequire "+hostrepo.RuntimeModule+" "+unpublished+"\n\nreplace "+hostrepo.RuntimeModule+" => ./rt\n")
	put(t, root, "rt/go.mod", "module "+hostrepo.RuntimeModule+"\n\ngo 1.24\n")
	put(t, root, "rt/rt.go", `package lockspire

import "context"

type Account struct{ Subject string }

type OldResolver interface {
	CurrentAccount(ctx context.Context) (Account, error)
}

type AccountResolver interface {
	OldResolver
	AccountBySubject(ctx context.Context, subject string) (Account, error)
	Forget(subjects ...string) bool
}

func Renewed() {}
`)
	put(t, root, resolver, `package authserver

import (
	"context"

	lockspire "`+hostrepo.RuntimeModule+`"
)

type accountResolver struct{}

func newResolver() *accountResolver { return &accountResolver{} }

func (*accountResolver) CurrentAccount(context.Context) (lockspire.Account, error) {
	return lockspire.Account{}, nil
}
`)
	return root, mountFor("var _ lockspire.AccountResolver = newResolver()")
}

func TestU21LackingMethodsAreNamedWithABodyToPaste(t *testing.T) {
	root, next := outgrown(t)
	_, err := run(t, root, next) // run compares the tree
	refusals, _ := plan.AsRefusals(err)
	if refusals.ExitCode() != 1 || len(refusals) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"your accountResolver lacks a method of lockspire.AccountResolver", "--write-stubs",
		"func (*accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {",
		"func (*accountResolver) Forget(subjects ...string) bool {",
		`errors.New("AccountBySubject is not written yet")`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestU21WriteStubsPutsThemIntoANewFileOfTheHost(t *testing.T) {
	root, next := outgrown(t)
	const taken = "internal/authserver/lockspire_stubs.go"
	put(t, root, taken, "package authserver\n")
	mine := get(t, root, resolver)
	report, err := run(t, root, next, func(o *Options) { o.WriteStubs = true })
	if err != nil {
		t.Fatal(err)
	}
	const name = "internal/authserver/lockspire_stubs2.go"
	if verdict(report, name) != Added || get(t, root, resolver) != mine || get(t, root, taken) != "package authserver\n" {
		t.Errorf("verdict %s, or a file of the host changed", verdict(report, name))
	}
	build := exec.Command("go", "vet", "./...")
	build.Dir, build.Env = root, append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, get(t, root, name))
	}
	if out, err := exec.Command("gofmt", "-l", filepath.Join(root, name)).Output(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %s %v", out, err)
	}
	settled(t, root, next)
}

// newCall is the form of a version that passes a context.
func newCall(old string) (string, bool) {
	rest, ok := strings.CutPrefix(old, "authserver.MustMount(")
	if !ok {
		return strings.Replace(old, "MustMount(", "MustMount(ctx, ", 1), false
	}
	if strings.HasPrefix(rest, "ctx, ") {
		return old, true
	}
	return "authserver.MustMount(ctx, " + rest, rest == "mux, authserver.Host{DB: db})"
}

func TestU35CallIsTheHostsAndIsChangedOnlyAsItWasWrittenAndWithYes(t *testing.T) {
	const file = "router.go"
	source := func(call string) string {
		return "package main\n\nimport \"example.com/app/internal/authserver\"\n\nvar ctx, mux, db = 1, 2, 3\n\nfunc route() {\n\t" + call + " // ours\n}\n"
	}
	const old, edited = "authserver.MustMount(mux, authserver.Host{DB: db})", "authserver.MustMount(mux, authserver.Host{DB: db, Why: \"mine\"})"
	first := withMount("type Host struct {\n\tDB  int\n\tWhy string\n}\n\nfunc MustMount(mux int, host Host) {}")
	next := withMount("type Host struct {\n\tDB  int\n\tWhy string\n}\n\nfunc MustMount(ctx, mux int, host Host) {}")
	next.Call = newCall
	prepare := func(call string) (string, func(*Options)) {
		root := host(t, first)
		put(t, root, file, source(call))
		return root, func(o *Options) {
			o.Detect = func(context.Context, string, Options, json.RawMessage, []string) (Found, error) {
				return Found{Mounts: []hostrepo.Mount{{Position: hostrepo.Position{File: file, Line: 8, Col: 2}}}}, nil
			}
		}
	}
	yes := func(o *Options) { o.Yes = true }

	t.Run("as written, without yes", func(t *testing.T) {
		root, detected := prepare(old)
		report, err := run(t, root, next, detected)
		if r := refusal(t, err, file); r.Line != 8 || !strings.HasPrefix(r.Next, "lockspire upgrade --yes") {
			t.Errorf("got %v", err)
		}
		var shown strings.Builder
		if err := report.Write(&shown); err != nil || !strings.Contains(shown.String(), "+\tauthserver.MustMount(ctx, mux, authserver.Host{DB: db}) // ours") {
			t.Errorf("the edit is not shown:\n%s", shown.String())
		}
	})
	t.Run("as written, with yes", func(t *testing.T) {
		root, detected := prepare(old)
		if _, err := run(t, root, next, detected, yes); err != nil {
			t.Fatal(err)
		}
		if got := get(t, root, file); got != source(strings.Replace(old, "(mux", "(ctx, mux", 1)) {
			t.Errorf("got\n%s", got)
		}
		settled(t, root, next, detected, yes)
	})
	t.Run("edited", func(t *testing.T) {
		root, detected := prepare(edited)
		_, err := run(t, root, next, detected, yes, partially)
		if r := refusal(t, err, file); r.Line != 8 || !strings.Contains(r.Next, "MustMount(ctx, mux, authserver.Host{DB: db, Why: \"mine\"})") {
			t.Errorf("got %v", err)
		}
		if get(t, root, file) != source(edited) {
			t.Error("a line of the host was rewritten")
		}
	})
	t.Run("another form of Mount is no reason to look at the call", func(t *testing.T) {
		root, detected := prepare(edited)
		same := first
		same.Files[1].Content = goFile("const Extra = 2")
		if _, err := run(t, root, same, detected, yes); err != nil || get(t, root, file) != source(edited) {
			t.Errorf("%v", err)
		}
	})
}

func TestU22UseOfARemovedAPIIsNamedWithItsReplacement(t *testing.T) {
	root, _ := outgrown(t)
	proxy, source := t.TempDir(), filepath.Join(root, "rt")
	first, err := plantest.As(proxy, source, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	edit(t, root, "rt/rt.go", "func Renewed() {}\n", "")
	edit(t, root, "rt/rt.go", "type Account struct{ Subject string }", "type Account struct{ ID string }")
	if _, err := plantest.As(proxy, source, "v1.1.0"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", first.GOPROXY)
	t.Setenv("GONOSUMDB", hostrepo.RuntimeModule)
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOFLAGS", "-modcacherw")
	put(t, root, "go.mod", "module example.com/app\n\ngo 1.24\n\nrequire "+hostrepo.RuntimeModule+" v1.0.0\n")
	put(t, root, "main_use.go", "package main\n\nimport lockspire \""+hostrepo.RuntimeModule+"\"\n\nfunc use() string {\n\tlockspire.Renewed()\n\tlockspire.Renewed()\n\treturn lockspire.Account{}.Subject\n}\n")
	download := exec.Command("go", "mod", "download", "all")
	download.Dir, download.Env = root, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw")
	if out, err := download.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	next := withMount("const Routes = 8")
	_, err = run(t, root, next, func(o *Options) {
		o.RuntimeVersion = "v1.1.0"
		o.Removed = map[string]string{"Renewed": "call Provider.SessionRenewed instead", "Account.Subject": "read Account.ID instead"}
	})
	refusals, _ := plan.AsRefusals(err)
	if len(refusals) != 3 || refusals.ExitCode() != 1 {
		t.Fatalf("got %v", err)
	}
	for i, want := range []struct {
		line       int
		what, next string
	}{
		{6, "lockspire.Renewed is gone", "call Provider.SessionRenewed instead"},
		{7, "lockspire.Renewed is gone", "call Provider.SessionRenewed instead"},
		{8, "lockspire.Account.Subject is gone", "read Account.ID instead"},
	} {
		if r := refusals[i]; r.Path != "main_use.go" || r.Line != want.line || !strings.HasPrefix(r.What, want.what) || r.Next != want.next {
			t.Errorf("got %v", r)
		}
	}
}
