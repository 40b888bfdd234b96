package plan

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// I15. A requirement of the host that its proxy refuses stops nothing: our own modules are downloaded outside the host,
// with the proxy and the GOPRIVATE of the host's environment.
func TestI15AnUnrelatedModuleThatIsRefusedStopsNothing(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	files := strings.TrimPrefix(env.Environ[len(env.Environ)-6], "GOPROXY=file://")
	var mu sync.Mutex
	asked := map[string]int{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		module, _, _ := strings.Cut(r.URL.Path, "/@")
		mu.Lock()
		asked[module]++
		mu.Unlock()
		if module == "/example.test/yanked" {
			http.Error(w, "quarantined", http.StatusForbidden)
			return
		}
		http.FileServer(http.Dir(files)).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	env.Environ = append(env.Environ, "GOPROXY="+proxy.URL, "GONOSUMDB=", "GOPRIVATE=example.test/*", "GONOPROXY=none", "GOMODCACHE="+t.TempDir())

	root := t.TempDir()
	writeTree(t, root, map[string]string{
		"go.mod":           "module example.test/host\n\ngo 1.24.0\n\nrequire example.test/yanked v1.0.0\n",
		"go.sum":           "example.test/yanked v1.0.0 h1:dbKTrvD0klcbBV/h4AWJdMuZogJACoMlvWIWZ5b2xWg=\nexample.test/yanked v1.0.0/go.mod h1:hc1CvRkJMsgxqjmjMQF3QNRAZBwY8AXBAzKYoSX9sFI=\n",
		"main.go":          "package main\n\nfunc main() {}\n",
		"legacy/legacy.go": "package legacy\n\nimport _ \"example.test/yanked\"\n",
	})
	p := runtimePlan(t, root)
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if asked["/example.test/yanked"] == 0 || asked["/example.test/runtime"] == 0 || asked["/example.test/jose/v4"] == 0 {
		t.Errorf("the proxy was asked for %v: the failure is not tried, or our modules came from elsewhere", asked)
	}
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	goCmd(t, env, root, "build", "-mod=readonly", "./internal/authserver")
}
