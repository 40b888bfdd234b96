package verify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Routers that serve themselves block like http.ListenAndServe does: what stands behind that never runs.
func TestCallBehindARouterThatServesItselfIsUnreachable(t *testing.T) {
	for _, c := range []struct{ host, file, call, serve string }{
		{"gin-sqlite", "cmd/app/main.go", "site", `log.Fatal(site.Run("localhost:8080"))`},
		{"fiber3-sqlite", "cmd/app/main.go", "app", `log.Fatal(app.Listen("localhost:8080"))`},
		{"echo5-sqlite", "cmd/app/main.go", "web.New(db)", `log.Fatal(web.New(db).Start("localhost:8080"))`},
	} {
		t.Run(c.host, func(t *testing.T) {
			dir, err := filepath.Abs(filepath.Join("../../golden", c.host, "expected"))
			if err != nil {
				t.Fatal(err)
			}
			web := filepath.Join(dir, "internal/web/web.go")
			main := filepath.Join(dir, filepath.FromSlash(c.file))
			before, after, ok := strings.Cut(read(t, main), c.serve)
			if !ok {
				t.Fatalf("%s does not serve by %s", main, c.serve)
			}
			call := "authserver.MustMount(" + c.call + ", authserver.Host{DB: db})"
			if strings.Contains(read(t, filepath.Join(dir, "go.mod")), "gorm.io/gorm ") {
				call = strings.Replace(call, "DB: db", "Gorm: db", 1)
			}
			serve := strings.TrimSuffix(strings.TrimPrefix(c.serve, "log.Fatal("), ")")
			source := strings.Replace(before, "import (", "import (\n\t\""+modulePath(t, dir)+"/internal/authserver\"", 1)
			for position, want := range map[string]bool{
				source + call + "\n" + c.serve + after:                                                     false,
				source + "if err := " + serve + "; err != nil {\n\t\tlog.Print(err)\n\t}\n" + call + after: true,
			} {
				report, err := Run(context.Background(), Options{
					Dir: dir, Env: append(os.Environ(), "GOWORK=off"), CLIVersion: "dev",
					Overlay: map[string][]byte{main: []byte(position), web: unmounted(read(t, web))},
				})
				if err != nil {
					t.Fatal(err)
				}
				got := slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Rule == "LS102" && f.Severity == Error })
				if got != want {
					t.Errorf("unreachable is %v, want %v, in\n%s\n%v", got, want, position, report.Findings)
				}
			}
		})
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func modulePath(t *testing.T, dir string) string {
	t.Helper()
	first, _, _ := strings.Cut(read(t, filepath.Join(dir, "go.mod")), "\n")
	return strings.TrimPrefix(first, "module ")
}

// unmounted takes the inserted call and its import out of a file again.
func unmounted(source string) []byte {
	lines := strings.SplitAfter(source, "\n")
	out := ""
	for i := 0; i < len(lines); i++ {
		switch {
		case strings.Contains(lines[i], "/internal/authserver\""), strings.HasPrefix(strings.TrimSpace(lines[i]), "authserver.MustMount"):
		case strings.Contains(lines[i], "authserver.Mount("):
			i += 2
		default:
			out += lines[i]
		}
	}
	return []byte(out)
}
